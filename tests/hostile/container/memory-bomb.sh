# Memory without end.
# expect: limit memory
exec hostile eat 4000
