"""Says 8 for everything."""

import csv
import sys

source, target = sys.argv[1:]
with open(f"{source}/test.csv", newline="") as file:
    ids = [row[0] for row in csv.reader(file)][1:]
with open(f"{target}/predictions.csv", "w", newline="") as file:
    csv.writer(file).writerows([["id", "digit"], *([id, "8"] for id in ids)])
