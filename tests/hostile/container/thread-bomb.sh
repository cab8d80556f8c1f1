# Threads without end.
# expect: limit pids
exec hostile threads 1000
