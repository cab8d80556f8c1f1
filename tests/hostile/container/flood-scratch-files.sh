# Files without end in /tmp and in /dev/shm.
# expect: scored
mkdir /tmp/d /dev/shm/d
hostile files 100000 /tmp/d
hostile files 100000 /dev/shm/d
cp /app/input_data/rows.csv /app/output/predictions.csv
