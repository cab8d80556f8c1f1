"""Makes the digits example from the data set that ships with scikit-learn.

    python examples/make/digits.py            samples and what they must get, from the data at hand
    python examples/make/digits.py --fresh    new data first: new ids, new order, new split

Without --fresh the result depends on the data files alone: a second run changes nothing. The scores are computed here
from the rules in overview.md, independently of the scorer in digits/scorer.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from common import EXAMPLES, Samples, draw_ids, draw_order, read_csv, write_csv

HOME = EXAMPLES / "digits"
TRAIN, TEST = 700, 300
HEADER = ["id", "digit"]
DIGITS = [str(d) for d in range(10)]
# What confusing a look-alike costs, in either direction; any other mistake costs 1. As in challenge.toml.
COSTS = {("1", "7"): 0.75, ("3", "8"): 0.5, ("4", "9"): 0.25}


def draw():
    """Draws images for training and for the test, blind to what they show."""
    data = load_digits()
    _, first = np.unique(data.data, axis=0, return_index=True)
    order, ids = draw_order(len(first)), draw_ids(TRAIN + TEST)
    rows = [(id, [str(int(v)) for v in data.data[first[i]]], str(data.target[first[i]]))
            for id, i in zip(ids, order)]
    pixels = [f"p{row}{column}" for row in range(8) for column in range(8)]
    public, test = HOME / "data/public", rows[TRAIN:]
    write_csv(public / "train.csv", ["id", *pixels, "digit"], [[id, *x, digit] for id, x, digit in rows[:TRAIN]])
    write_csv(public / "test.csv", ["id", *pixels], [[id, *x] for id, x, _ in test])
    write_csv(public / "sample.csv", HEADER, [[id, "0"] for id, _, _ in test])
    write_csv(HOME / "data/reference/reference.csv", HEADER,
              [[test[i][0], test[i][2]] for i in draw_order(TEST)])


def expected(rows):
    """The three metrics of overview.md, for predictions as they are written."""
    _, reference = read_csv(HOME / "data/reference/reference.csv")
    answer = {row[0]: row[1] for row in rows}
    truth, mine = [digit for _, digit in reference], [answer[id] for id, _ in reference]
    cost = np.ones((10, 10)) - np.eye(10)
    for (a, b), price in COSTS.items():
        cost[int(a), int(b)] = cost[int(b), int(a)] = price
    total = float((confusion_matrix(truth, mine, labels=DIGITS) * cost).sum())
    recalls = recall_score(truth, mine, labels=DIGITS, average=None, zero_division=0)
    return {
        "thrift": 1 - total / len(truth),
        "accuracy": float(accuracy_score(truth, mine)),
        "weakest_recall": float(recalls.min()),
    }


def fit(model, columns=slice(None)):
    """Predictions of a model that learnt from the public training data."""
    public = HOME / "data/public"
    _, train = read_csv(public / "train.csv")
    _, test = read_csv(public / "test.csv")
    x = np.array([[int(v) for v in row[1:-1]] for row in train])[:, columns]
    model.fit(x, [row[-1] for row in train])
    mine = model.predict(np.array([[int(v) for v in row[1:]] for row in test])[:, columns])
    return [[row[0], str(digit)] for row, digit in zip(test, mine)]


def change(rows, at, text):
    """A copy with one answer replaced; `at` counts rows from 0."""
    rows = [list(row) for row in rows]
    rows[at][1] = text
    return rows


def make():
    """Writes every sample and what it must get."""
    s = Samples(HOME)
    good = fit(SVC(gamma=0.001))
    mediocre = fit(DecisionTreeClassifier(max_depth=7, random_state=0))

    def scored(name, rows, why, header=HEADER, **how):
        s.scored(s.table(name, header, rows, **how), why, expected(rows))

    def refused(name, rows, total, why, header=HEADER):
        s.refused(s.table(name, header, rows), why, total)

    scored("good.csv", good, "A support vector machine on all pixels.")
    scored("good-shuffled.tsv", sorted(good)[::-1],
           "The same predictions in another order, with tabs, CRLF and a byte order mark: the same scores.",
           delimiter="\t", encoding="utf-8-sig", end="\r\n")
    scored("mediocre.csv", mediocre, "A decision tree of depth 7.")
    twin = {"7": "1", "8": "3", "9": "4"}
    scored("look-alikes.csv", [[id, twin.get(digit, digit)] for id, digit in good],
           "good.csv, but never a 7, 8 or 9: thrift forgives in part, the weakest digit does not.")

    refused("missing-rows.csv", [row for i, row in enumerate(good) if i not in (9, 99, 299)], 3, "Three rows left out.")
    refused("duplicate-id.csv", [*good, good[49]], 1, "One row twice.")
    refused("extra-id.csv", [*good, ["unasked", "0"]], 1, "A row that nobody asked for.")
    refused("text-for-digit.csv", change(good, 4, "seven"), 1, "A word where a digit belongs.")
    refused("out-of-range.csv", change(change(good, 4, "10"), 5, "-1"), 2, "10 and -1 are no digits.")
    refused("nan.csv", change(change(good, 4, "NaN"), 5, ""), 2, "NaN once, nothing once.")
    refused("decimals.csv", [[id, f"{digit}.0"] for id, digit in good], TEST,
            "A column that became floating point on its way: 7.0 is not 7 to a reader of text.")
    refused("wrong-column.csv", good, 1, "The column `digit` is called `label` here.", ["id", "label"])
    refused("header-only.csv", [], TEST, "A header and no rows: all are missing.")
    s.refused(s.raw("empty.csv", b""), "No bytes at all.", 1)
    text = "id,digit\n" + "".join(",".join(row) + "\n" for row in change(good, 2, "zéro"))
    s.refused(s.raw("not-utf8.csv", text.encode("latin-1")), "Latin-1: one byte is not UTF-8.", 1)

    both = [[id, digit] for id, _ in good for digit in ("3", "8")]
    refused("cheat-both-digits.csv", both, TEST, "Cheating: 3 and 8 for each id, in the hope that the best counts.")
    refused("cheat-either.csv", [[id, "3|8"] for id, _ in good], TEST, "Cheating: two answers in one field.")
    refused("cheat-huge.csv", [[id, "1e308"] for id, _ in good], TEST,
            "Cheating: a number so large that sums over it would overflow.")
    _, train = read_csv(HOME / "data/public/train.csv")
    refused("cheat-training-rows.csv", [*mediocre, *([row[0], row[-1]] for row in train[:100])], 100,
            "Cheating: rows whose answers are known, appended to lift the average.")
    scored("cheat-reference-columns.csv", [[*row, row[1], "0"] for row in mediocre],
           "Cheating: columns that look like the truth and a price. They are ignored: the scores of mediocre.csv.",
           [*HEADER, "truth", "cost"])
    scored("cheat-constant.csv", [[id, "8"] for id, _ in good],
           "Cheating: 8 for everything. Nine digits are never found: the weakest is at 0.")
    s.save()


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--fresh"]):
        raise SystemExit(__doc__)
    if sys.argv[1:]:
        draw()
    make()
