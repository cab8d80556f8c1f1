# An exit code above 128 is read as a signal, and is a failure like any other.
# expect: run-failed exit|signal
cp /app/input_data/rows.csv /app/output/predictions.csv
exit 137
