"""Makes the breast-cancer example from the data set that ships with scikit-learn.

    python examples/make/breast_cancer.py            samples and what they must get, from the data at hand
    python examples/make/breast_cancer.py --fresh    new data first: new ids, new order, new splits

Without --fresh the result depends on the data files alone: a second run changes nothing.
"""

import sys
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from common import EXAMPLES, Samples, draw_ids, draw_order, read_csv, write_csv

HOME = EXAMPLES / "breast-cancer"
TEST = 200
HEADER = ["id", "label", "p"]


def draw():
    """Cuts the data set into train, public test and private test, blind to labels and features."""
    data = load_breast_cancer()
    features = [name.replace(" ", "_") for name in data.feature_names]
    labels = [str(data.target_names[t]) for t in data.target]
    order, ids = draw_order(len(labels)), draw_ids(len(labels))
    split = ["public"] * (TEST // 2) + ["private"] * (TEST // 2)
    rows = [(ids[i], [repr(float(v)) for v in data.data[i]], labels[i]) for i in order]
    test, train = rows[:TEST], rows[TEST:]
    reference = [[id, label, part] for (id, _, label), part in zip(test, split)]
    public = HOME / "data/public"
    write_csv(public / "train.csv", ["id", *features, "label"], [[id, *x, label] for id, x, label in train])
    # The split was dealt along `test`: another shuffle, so that its order in the public file tells nothing.
    test = [test[i] for i in draw_order(TEST)]
    write_csv(public / "test.csv", ["id", *features], [[id, *x] for id, x, _ in test])
    write_csv(public / "sample.csv", HEADER, [[id, "benign", "0.5"] for id, _, _ in test])
    write_csv(HOME / "data/reference/reference.csv", ["id", "label", "split"],
              [reference[i] for i in draw_order(TEST)])


def expected(rows):
    """What scikit-learn gives for predictions, read back as they are written."""
    _, reference = read_csv(HOME / "data/reference/reference.csv")
    answer = {row[0]: row for row in rows}
    scores = {}
    for part in ("public", "private"):
        truth = [label for _, label, split in reference if split == part]
        mine = [answer[id] for id, _, split in reference if split == part]
        label, p = [row[1] for row in mine], np.array([float(row[2]) for row in mine])
        positive = np.array([t == "malignant" for t in truth])
        scores[part] = {
            "roc_auc": roc_auc_score(positive, p),
            "f1": f1_score(truth, label, pos_label="malignant"),
            "accuracy": accuracy_score(truth, label),
            "log_loss": log_loss(positive, p, labels=[False, True]),
        }
    return {f"{metric}@{part}": float(scores[part][metric]) for metric in scores["public"] for part in scores}


def fit(model, columns=slice(None)):
    """Predictions of a model that learnt from the public training data."""
    public = HOME / "data/public"
    _, train = read_csv(public / "train.csv")
    _, test = read_csv(public / "test.csv")
    x = np.array([[float(v) for v in row[1:-1]] for row in train])[:, columns]
    y = np.array([row[-1] == "malignant" for row in train])
    p = model.fit(x, y).predict_proba(np.array([[float(v) for v in row[1:]] for row in test])[:, columns])[:, 1]
    return [[row[0], "malignant" if q >= 0.5 else "benign", f"{q:.6f}"] for row, q in zip(test, p)]


def change(rows, at, column, text):
    """A copy with one field replaced; `at` counts rows from 0."""
    rows = [list(row) for row in rows]
    rows[at][column] = text
    return rows


def make():
    """Writes every sample and what it must get."""
    s = Samples(HOME)
    good = fit(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)))
    mediocre = fit(DecisionTreeClassifier(max_depth=1, random_state=0), slice(1, 2))

    def scored(name, rows, why, header=HEADER, **how):
        s.scored(s.table(name, header, rows, **how), why, expected(rows))

    def refused(name, rows, total, why, header=HEADER):
        s.refused(s.table(name, header, rows), why, total)

    scored("good.csv", good, "Logistic regression on all features, scaled.")
    scored("good-shuffled.tsv", sorted(good)[::-1],
           "The same predictions in another order, with tabs, CRLF and a byte order mark: the same scores.",
           delimiter="\t", encoding="utf-8-sig", end="\r\n")
    scored("mediocre.csv", mediocre, "A decision stump that sees the mean texture alone.")

    refused("missing-rows.csv", [row for i, row in enumerate(good) if i not in (9, 99, 199)], 3,
            "Three rows left out.")
    refused("duplicate-id.csv", [*good, good[49]], 1, "One row twice.")
    refused("extra-id.csv", [*good, ["unasked", "benign", "0.5"]], 1, "A row that nobody asked for.")
    refused("text-for-number.csv", change(good, 4, 2, "high"), 1, "A word where a probability belongs.")
    refused("nan.csv", change(change(good, 4, 2, "NaN"), 5, 2, "inf"), 2, "NaN once, infinity once.")
    refused("wrong-label.csv", change(change(good, 4, 1, "Malignant"), 5, 1, "0"), 2,
            "Labels that the task does not know: they are compared as text.")
    refused("wrong-column.csv", good, 1, "The column `p` is called `probability` here.",
            ["id", "label", "probability"])
    refused("header-only.csv", [], TEST, "A header and no rows: all are missing.")
    s.refused(s.raw("empty.csv", b""), "No bytes at all.", 1)
    text = "id,label,p\n" + "".join(",".join(row) + "\n" for row in change(good, 2, 1, "bénin"))
    s.refused(s.raw("not-utf8.csv", text.encode("latin-1")), "Latin-1: one byte is not UTF-8.", 1)

    both = [row for id, _, _ in good for row in ([id, "malignant", "1"], [id, "benign", "0"])]
    refused("cheat-both-labels.csv", both, TEST,
            "Cheating: both answers for each id, in the hope that the best counts.")
    huge = [[id, label, "1e308" if label == "malignant" else "-1e308"] for id, label, _ in good]
    refused("cheat-huge-probability.csv", huge, TEST,
            "Cheating: probabilities of 1e308 rank well and would break sums; none lies in 0 to 1.")
    _, train = read_csv(HOME / "data/public/train.csv")
    known = [[row[0], row[-1], "1" if row[-1] == "malignant" else "0"] for row in train]
    refused("cheat-training-rows.csv", [*mediocre, *known], len(train),
            "Cheating: rows whose answers are known, appended to lift the average.")
    extra = [[*row, row[1], "public"] for row in mediocre]
    scored("cheat-reference-columns.csv", extra,
           "Cheating: columns that the reference has. They are ignored; the scores are those of mediocre.csv.",
           [*HEADER, "truth", "split"])
    share = sum(row[-1] == "malignant" for row in train) / len(train)
    scored("cheat-majority.csv", [[id, "benign", f"{share:.6f}"] for id, _, _ in good],
           "Cheating: the majority for everyone. Accuracy looks fair; ROC-AUC is 0.5 and F1 is 0.")
    scored("cheat-certain.csv", [[id, label, "1" if label == "malignant" else "0"] for id, label, _ in good],
           "Cheating: the labels of good.csv, each with full certainty. Log-loss makes every mistake dear.")
    s.save()


if __name__ == "__main__":
    warnings.simplefilter("error")
    if sys.argv[1:] not in ([], ["--fresh"]):
        raise SystemExit(__doc__)
    if sys.argv[1:]:
        draw()
    make()
