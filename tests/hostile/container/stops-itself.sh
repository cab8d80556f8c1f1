# Stops itself and all of its group.
# expect: limit wall
kill -STOP 0
kill -STOP $$
sleep 100
