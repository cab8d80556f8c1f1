# A socket for predictions.
# expect: run-failed bad-output
hostile socket /app/output/predictions.csv
