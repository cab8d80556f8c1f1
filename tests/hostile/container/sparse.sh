# A file that claims more than it holds.
# expect: run-failed bad-output
hostile sparse /app/output/predictions.csv 3000000
