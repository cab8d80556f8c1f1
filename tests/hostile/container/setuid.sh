# A set-user-ID program in the output is a file like any other, and cannot be started there.
# expect: run-failed exit
cp /bin/busybox /app/output/x
chmod 4755 /app/output/x
/app/output/x true
