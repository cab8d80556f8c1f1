# Children that nobody waits for.
# expect: scored|limit pids
i=0
while [ $i -lt 300 ]; do
  (sleep 0 &)
  i=$((i + 1))
done
cp /app/input_data/rows.csv /app/output/predictions.csv
