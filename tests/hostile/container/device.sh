# A device for predictions cannot be made.
# expect: run-failed exit
mknod /app/output/predictions.csv c 1 5
