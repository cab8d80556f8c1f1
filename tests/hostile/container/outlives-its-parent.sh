# A daemon that would go on, writing, when the program has ended; what it wrote until then may spoil the answer.
# expect: scored|invalid-submission
setsid sh -c 'while :; do date >> /app/output/late; sleep 0.1; done' > /dev/null 2>&1 &
cp /app/input_data/rows.csv /app/output/predictions.csv
rm -f /app/output/late
exit 0
