# 50 MB of output: cut in the middle, and no failure.
# expect: scored
echo first
yes | head -c 50000000
echo last
cp /app/input_data/rows.csv /app/output/predictions.csv
