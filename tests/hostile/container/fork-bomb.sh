# Processes that make processes.
# expect: limit pids|wall
b() { b | b & }
b
b
while sleep 1; do :; done
