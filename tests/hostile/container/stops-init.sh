# Signals to the first process and to all that can be reached.
# expect: limit wall|run-failed signal
kill -STOP 1
kill -9 1
kill -9 -1
sleep 100
