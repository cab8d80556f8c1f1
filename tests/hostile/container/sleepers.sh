# More processes than allowed, each of which sleeps.
# expect: limit pids
i=0
while [ $i -lt 200 ]; do
  sleep 100 &
  i=$((i + 1))
done
