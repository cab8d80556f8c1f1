# A name that is no text.
# expect: run-failed bad-output
echo > "$(printf '/app/output/\377\376')"
