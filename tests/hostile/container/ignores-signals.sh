# Ignores every signal that can be ignored.
# expect: limit wall
trap '' TERM INT HUP QUIT USR1 USR2 TSTP
while :; do sleep 1; done
