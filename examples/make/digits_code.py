"""Makes the digits-code example from the data set that ships with scikit-learn.

    python examples/make/digits_code.py            what the programs must get, from the data and programs at hand
    python examples/make/digits_code.py --fresh    new data first: new ids, new order, new split

The programs under digits-code/solutions are written by hand; here they are run, and what they write is scored with
scikit-learn. They calculate with whole numbers, so that it is the same wherever they run.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, f1_score

from common import EXAMPLES, MARK, draw_ids, draw_order, read_csv, write_csv

HOME = EXAMPLES / "digits-code"
TRAIN, TEST = 700, 300
HEADER = ["id", "digit"]


def draw():
    """Draws test images that the example `digits` does not hold, and trains on those that it trains on: neither tells
    an answer of the other. Blind to what the images show."""
    data = load_digits()
    _, train = read_csv(EXAMPLES / "digits/data/public/train.csv")
    _, other = read_csv(EXAMPLES / "digits/data/public/test.csv")
    images = {tuple(str(int(v)) for v in image): str(digit) for image, digit in zip(data.data, data.target)}
    known = [tuple(row[1:-1]) for row in train]
    unseen = sorted(set(images) - {*known, *(tuple(row[1:]) for row in other)})
    ids = draw_ids(TRAIN + TEST)
    images_drawn = [*(known[i] for i in draw_order(TRAIN)), *(unseen[i] for i in draw_order(len(unseen))[:TEST])]
    rows = [(id, image, images[image]) for id, image in zip(ids, images_drawn)]
    pixels = [f"p{row}{column}" for row in range(8) for column in range(8)]
    test = rows[TRAIN:]
    for folder in ("public", "input"):
        write_csv(HOME / "data" / folder / "train.csv", ["id", *pixels, "digit"],
                  [[id, *x, digit] for id, x, digit in rows[:TRAIN]])
    write_csv(HOME / "data/input/test.csv", ["id", *pixels], [[id, *x] for id, x, _ in test])
    write_csv(HOME / "data/public/sample.csv", HEADER, [[id, "0"] for id, _, _ in test])
    write_csv(HOME / "data/reference/reference.csv", HEADER,
              [[test[i][0], test[i][2]] for i in draw_order(TEST)])


def run(name):
    """What a program writes."""
    with tempfile.TemporaryDirectory() as target:
        main = HOME / "solutions" / name / "main.py"
        subprocess.run([sys.executable, main, HOME / "data/input", target], check=True, stderr=subprocess.DEVNULL)
        return read_csv(Path(target) / "predictions.csv")[1]


def expected(rows):
    """Both metrics, for predictions as they are written."""
    answer = dict(rows)
    _, reference = read_csv(HOME / "data/reference/reference.csv")
    truth, mine = [digit for _, digit in reference], [answer[id] for id, _ in reference]
    return {"accuracy": float(accuracy_score(truth, mine)),
            "f1_macro": float(f1_score(truth, mine, average="macro", zero_division=0))}


def make():
    """Writes what every solution must get."""
    entries = []

    def entry(name, why, *lines):
        entries.append(f'\n# {why}\n[[solutions]]\npath = "solutions/{name}"\n'
                       + "".join(f"{line}\n" for line in lines))

    def scored(name, why, rows):
        entry(name, why, "[solutions.scores]", *(f"{metric} = {value!r}" for metric, value in expected(rows).items()))

    nearest, constant = run("nearest"), run("constant")
    write_csv(HOME / "solutions/nearest.csv", HEADER, nearest)
    scored("nearest", "Three nearest neighbours, with numpy.", nearest)
    scored("nearest.csv", "The same, as predictions: this task takes both.", nearest)
    scored("centroid", "The nearest mean image, in plain Python.", run("centroid"))
    scored("constant", "8 for everything.", constant)
    # Outside of a container it might find them: what it must get is what `constant` gets.
    scored("searches", "Cheating: it looks for the answers wherever it can. There are none to be found.", constant)
    entry("forgets", "Three images left out.", 'outcome = "invalid-submission"', "problems = { total = 3 }")
    entry("raises", "An exception: exit code 1.", 'outcome = "run-failed"')

    path = HOME / "challenge.toml"
    head, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{path}: the line that begins the samples is missing; put it back:\n{MARK}")
    path.write_text(head + mark + "".join(entries), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--fresh"]):
        raise SystemExit(__doc__)
    if sys.argv[1:]:
        draw()
    make()
