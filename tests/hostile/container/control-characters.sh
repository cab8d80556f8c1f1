# A name with a line feed and an escape in it.
# expect: run-failed bad-output
echo > "$(printf '/app/output/a\n\033[31mb')"
