# One file with two names.
# expect: run-failed bad-output
cp /app/input_data/rows.csv /app/output/predictions.csv
ln /app/output/predictions.csv /app/output/again.csv
