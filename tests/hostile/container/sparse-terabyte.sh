# A file that claims a terabyte: it ends its program.
# expect: run-failed signal
exec hostile sparse /app/output/predictions.csv 1100000000000
