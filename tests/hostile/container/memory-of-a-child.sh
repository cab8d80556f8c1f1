# A child takes too much memory and is killed for it; the program goes on and fails by itself.
# expect: run-failed exit|limit memory
hostile eat 4000
exit 3
