# Changes its output as long as it can; what lies there when it ends is what counts.
# expect: scored|invalid-submission
(while :; do
  cp /app/input_data/rows.csv /app/output/x
  mv /app/output/x /app/output/predictions.csv
done) > /dev/null 2>&1 &
sleep 1
cp /app/input_data/rows.csv /app/output/predictions.csv
kill $! 2> /dev/null
wait
rm -f /app/output/x
exit 0
