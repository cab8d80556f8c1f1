# Folders below folders.
# expect: run-failed bad-output
cd /app/output
i=0
while [ $i -lt 60 ]; do
  mkdir d && cd d
  i=$((i + 1))
done
echo > f
