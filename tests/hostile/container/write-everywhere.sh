# Whatever can be written to outside of the places for it.
# expect: scored
# prints: nothing else
for place in / /app /app/program /app/input_data /bin /etc /proc /proc/sys/kernel /sys /sys/fs/cgroup /dev /mnt /run /var; do
  (echo x > $place/x) 2> /dev/null && echo "$place can be written to"
done
(echo x >> /app/program/run.sh) 2> /dev/null && echo "the program can be changed"
(echo x >> /app/input_data/rows.csv) 2> /dev/null && echo "the input can be changed"
(echo 1 > /proc/sys/vm/drop_caches) 2> /dev/null && echo "the kernel can be told things"
(echo -1000 > /proc/self/oom_score_adj) 2> /dev/null && echo "it saves itself from the memory's end"
cp /app/input_data/rows.csv /app/output/predictions.csv
echo nothing else
