# A pipe for predictions: whoever opens it waits.
# expect: run-failed bad-output
mkfifo /app/output/predictions.csv
