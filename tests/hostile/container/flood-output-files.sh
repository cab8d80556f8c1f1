# Files without end where predictions go.
# expect: limit files
hostile files 100000 /app/output
sleep 100
