# A link for predictions.
# expect: run-failed bad-output
ln -s /app/input_data/rows.csv /app/output/predictions.csv
