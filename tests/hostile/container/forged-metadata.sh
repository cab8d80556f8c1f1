# What only the runner may say: how long it took.
# expect: run-failed bad-output
cp /app/input_data/rows.csv /app/output/predictions.csv
echo 'elapsedTime: 0.001' > /app/output/metadata
