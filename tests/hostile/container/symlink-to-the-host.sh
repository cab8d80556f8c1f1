# A link to what would be a file of the host's.
# expect: run-failed bad-output
ln -s ../../../../../../../etc/shadow /app/output/predictions.csv
