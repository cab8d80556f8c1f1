# A path that is too long.
# expect: run-failed bad-output
n=$(head -c 250 /dev/zero | tr '\0' n)
mkdir -p /app/output/$n/$n/$n
echo > /app/output/$n/$n/$n/f
