# Bytes without end where predictions go, and then no end.
# expect: limit output
hostile fill /app/output/flood
sleep 100
