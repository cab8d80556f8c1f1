# Bytes without end in /tmp: the disk of this program alone is full, and it may still answer.
# expect: scored
hostile fill /tmp/flood
rm -f /tmp/flood
cp /app/input_data/rows.csv /app/output/predictions.csv
