# Sleeps.
# expect: limit wall
sleep 1000
