"""Asks of all examples whether anything public tells the hidden answers, short of reading the pictures.

    python examples/make/check_leaks.py

It looks at ids, at row order, at rows that occur twice and at where rows stood in the original data set, and tests
each against labels and split. It cannot undo that the original data sets are public: see the overview pages.
"""

import sys

import numpy as np
from scipy.stats import chi2_contingency, kruskal, spearmanr
from sklearn.datasets import load_breast_cancer, load_digits

from common import EXAMPLES, LETTERS, read_csv

# Some ninety fair draws are tested: by chance alone, fewer than one run in a hundred raises an alarm.
ALARM = 1e-4


def groups(values, labels):
    """The values, apart by label."""
    return [[v for v, label in zip(values, labels) if label == one] for one in sorted(set(labels))]


def check(name, target, original):
    """Yields (what was asked, p-value or None, whether it is fine) for one example."""
    home = EXAMPLES / name / "data"
    train_header, train = read_csv(home / "public/train.csv")
    test_csv = next(path for path in (home / "input/test.csv", home / "public/test.csv") if path.exists())
    test_header, test = read_csv(test_csv)
    header, reference = read_csv(home / "reference/reference.csv")
    hidden = {row[0]: row[1:] for row in reference}
    ids = [row[0] for row in test]
    rows = [tuple(row[1:]) for row in test]

    yield "ids are distinct over train and test", None, len({*ids, *(r[0] for r in train)}) == len(test) + len(train)
    yield "test and reference have the same ids", None, set(ids) == set(hidden)
    yield "the test rows hold no label column", None, target not in test_header
    yield "no test row is a training row", None, not set(rows) & {tuple(r[1:-1]) for r in train}
    yield "no test row occurs twice", None, len(set(rows)) == len(rows)
    if test_csv.parent.name == "input":
        shown = [tuple(row[1:]) for path in (home / "public").glob("*.csv") for row in read_csv(path)[1]]
        yield "nothing public holds a hidden row", None, not any(
            row == other[:len(row)] for row in set(rows) for other in shown)
        yield "the input holds train.csv and test.csv alone", None, \
            sorted(path.name for path in (home / "input").iterdir()) == ["test.csv", "train.csv"]
        yield "the input's train.csv is the public one", None, \
            (home / "input/train.csv").read_bytes() == (home / "public/train.csv").read_bytes()
    for other in sorted(path for path in EXAMPLES.glob("*/data/public/train.csv") if path.parents[2].name != name):
        labelled = {tuple(row[1:-1]) for row in read_csv(other)[1]}
        yield f"{other.parents[2].name} tells no answer", None, not set(rows) & labelled
    sample = [row[0] for row in read_csv(home / "public/sample.csv")[1]]
    yield "the sample submission is one constant answer", None, \
        sample == ids and len({tuple(r[1:]) for r in read_csv(home / "public/sample.csv")[1]}) == 1

    where = {tuple(float(v) for v in x): i for i, x in enumerate(original)}
    stood = [where[tuple(float(v) for v in row)] for row in rows]
    yield "order against the original order", *verdict(spearmanr(stood, range(len(stood))).pvalue)
    for column, what in enumerate(header[1:]):
        secret = [hidden[id][column] for id in ids]
        yield f"{what} against the order of test.csv", *verdict(kruskal(*groups(range(len(ids)), secret)).pvalue)
        rank = np.argsort(np.argsort(ids))
        yield f"{what} against ids as sorted", *verdict(kruskal(*groups(rank, secret)).pvalue)
        for place in range(7):
            letters = [LETTERS.index(id[place]) for id in ids]
            yield f"{what} against letter {place + 1} of the id", *verdict(kruskal(*groups(letters, secret)).pvalue)
        if what == "split":
            yield "split against the original order", *verdict(kruskal(*groups(stood, secret)).pvalue)
    if "split" in header:
        label, split = zip(*hidden.values())
        table = [[sum(a == x and b == y for a, b in zip(label, split)) for x in sorted(set(label))]
                 for y in sorted(set(split))]
        yield "split against label", *verdict(chi2_contingency(table).pvalue)
        for i, feature in enumerate(train_header[1:-1]):
            values = [float(row[i]) for row in rows]
            yield f"split against {feature}", *verdict(
                kruskal(*groups(values, [hidden[id][1] for id in ids])).pvalue)


def verdict(p):
    """A p-value and whether it is no alarm."""
    return p, p > ALARM


def main():
    """Prints a line per question; exits with 1 if any raises an alarm."""
    bad = 0
    for name, target, original in (("breast-cancer", "label", load_breast_cancer().data),
                                   ("digits", "digit", load_digits().data),
                                   ("digits-code", "digit", load_digits().data)):
        lowest, asked = 1.0, 0
        for what, p, fine in check(name, target, original):
            asked, lowest = asked + 1, min(lowest, 1.0 if p is None else p)
            if not fine:
                bad += 1
                print(f"{name}: ALARM: {what}" + ("" if p is None else f" (p = {p:.2g})"))
        print(f"{name}: {asked} questions, lowest p-value {lowest:.3f}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
