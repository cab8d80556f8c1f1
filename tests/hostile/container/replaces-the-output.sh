# The output folder cannot become a link; what is made instead lies in it.
# expect: run-failed bad-output
rm -rf /app/output
ln -s /etc /app/output
mv /app/output /app/output2
exit 0
