# What its owner may not read is read all the same: it is a file.
# expect: scored
cp /app/input_data/rows.csv /app/output/predictions.csv
chmod 0 /app/output/predictions.csv
chmod 0 /app/output
