"""Makes golden.json: cases with the values that scikit-learn gives.

    python -m venv venv && venv/bin/pip install scikit-learn && venv/bin/python make.py

Random cases with a fixed seed, cases full of ties, and degenerate ones. A case holds what a participant and an organizer
would write, as text, so that the test goes through the same files as a submission.
"""

import json
import pathlib
import random
import warnings

import numpy
import sklearn
from sklearn import metrics as m

warnings.simplefilter("ignore")
random.seed(20261101)


def averages(truth, predicted, labels, positive, values):
    for name, score in (("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)):
        for average in ("macro", "micro", "weighted"):
            values[f"{name}_{average}"] = score(truth, predicted, labels=labels, average=average, zero_division=0)
        if positive is not None:
            binary = [[value == positive for value in column] for column in (truth, predicted)]
            values[name] = score(*binary, pos_label=True, zero_division=0)


def label_values(truth, predicted, labels, positive):
    values = {
        "accuracy": m.accuracy_score(truth, predicted),
        "balanced_accuracy": m.balanced_accuracy_score(truth, predicted),
        "mcc": m.matthews_corrcoef(truth, predicted),
    }
    averages(truth, predicted, labels, positive, values)
    return values


def clean(values):
    return {name: float(value) for name, value in values.items()}


def add(cases, name, params, reference, predictions, values):
    cases.append({"name": name, "params": params, "reference": reference, "predictions": predictions, "values": values})


def csv(*columns):
    return "\n".join(",".join(str(cell) for cell in row) for row in zip(*columns)) + "\n"


def labels_case(cases, name, truth, predicted, declared=None, positive=None):
    values = clean(label_values(truth, predicted, declared, positive))
    params = {"id": "id", "target": "y", "prediction": "y", "metrics": list(values)}
    if declared:
        params["labels"] = declared
    if positive is not None:
        params["positive"] = positive
    ids = ["id", *range(len(truth))]
    add(cases, name, params, csv(ids, ["y", *truth]), csv(ids, ["y", *predicted]), values)


def binary_case(cases, name, truth, scores):
    values = clean({
        "roc_auc": m.roc_auc_score([value == "yes" for value in truth], scores),
        "log_loss": m.log_loss([value == "yes" for value in truth], scores, labels=[False, True]),
    })
    params = {"target": "y", "probability": "p", "positive": "yes", "metrics": list(values)}
    add(cases, name, params, csv(["y", *truth]), csv(["p", *(repr(float(score)) for score in scores)]), values)


def rounded_case(cases, name, truth, labels, rows, places):
    """Rows that sum up to 1 only about. Ranks are those of the columns as they are: scikit-learn takes them so, where it
    does not refuse them (further than 1e-5 from 1). For its log loss they are divided, which it warns to do."""
    rows = numpy.round(numpy.array(rows), places)
    one = [m.roc_auc_score([value == label for value in truth], rows[:, at]) for at, label in enumerate(labels)]
    if numpy.allclose(1, rows.sum(axis=1)):
        assert abs(numpy.mean(one) - m.roc_auc_score(truth, rows, multi_class="ovr", labels=labels)) < 1e-12
    weights = [truth.count(label) for label in labels]
    multi_case(cases, name, truth, labels, rows, {
        "roc_auc_ovr": numpy.mean(one),
        "roc_auc_ovr_weighted": numpy.average(one, weights=weights),
        "log_loss": m.log_loss(truth, rows / rows.sum(axis=1, keepdims=True), labels=labels),
    })


def multi_case(cases, name, truth, labels, rows, values=None):
    rows = numpy.array(rows)
    values = clean(values or {
        "roc_auc_ovr": numpy.mean([m.roc_auc_score([value == label for value in truth], rows[:, at])
                                   for at, label in enumerate(labels)]) if len(labels) == 2 else
        m.roc_auc_score(truth, rows, multi_class="ovr", labels=labels),
        "roc_auc_ovr_weighted": m.roc_auc_score(truth, rows, multi_class="ovr", labels=labels, average="weighted")
        if len(labels) > 2 else m.roc_auc_score([value == labels[1] for value in truth], rows[:, 1]),
        "log_loss": m.log_loss(truth, rows, labels=labels),
    })
    params = {"id": "id", "target": "y", "probability": "p_*", "labels": labels, "metrics": list(values)}
    ids = ["id", *range(len(truth))]
    columns = [[f"p_{label}", *(repr(float(p)) for p in rows[:, at])] for at, label in enumerate(labels)]
    add(cases, name, params, csv(ids, ["y", *truth]), csv(ids, *columns), values)


def main():
    cases = []
    for at in range(30):
        names = ["a", "b", "c", "d", "e"][: random.randint(2, 5)]
        count = random.choice([1, 2, 3, 10, 200])
        truth = random.choices(names, weights=[10 ** random.uniform(-1, 1) for _ in names], k=count)
        skill = random.random()
        predicted = [value if random.random() < skill else random.choice(names) for value in truth]
        positive = truth[0] if at % 2 else None
        labels_case(cases, f"labels-{at}", truth, predicted, names if at % 3 == 0 else None, positive)
    labels_case(cases, "labels-one-class", ["a"] * 4, ["a"] * 4, positive="a")
    labels_case(cases, "labels-never-right", ["a", "b", "a", "b"], ["b", "a", "b", "a"], positive="a")
    labels_case(cases, "labels-constant-prediction", ["a", "b", "a", "b", "c"], ["b"] * 5, positive="a")
    labels_case(cases, "labels-unknown-prediction", ["a", "b", "a", "b"], ["a", "b", "z", "y"], positive="b")
    labels_case(cases, "labels-single-row", ["a"], ["a"], ["a", "b"], positive="b")
    for at in range(20):
        count = random.choice([2, 5, 50, 500])
        truth = ["yes", "no"] + random.choices(["yes", "no"], weights=[random.random() + 0.01, 1], k=count - 2)
        shift = random.random()
        scores = [min(1.0, max(0.0, random.random() * (1 - shift) + shift * (value == "yes"))) for value in truth]
        if at % 3 == 1:  # full of ties
            scores = [round(score, 1) for score in scores]
        binary_case(cases, f"binary-{at}", truth, scores)
    binary_case(cases, "binary-all-ties", ["yes", "no", "no"], [0.25] * 3)
    binary_case(cases, "binary-perfect", ["yes", "no", "no"], [1.0, 0.0, 0.0])
    binary_case(cases, "binary-all-wrong", ["yes", "no", "no"], [0.0, 1.0, 1.0])
    binary_case(cases, "binary-tiny", ["yes", "no", "yes", "no"], [1e-300, 5e-324, 1e-17, 0.9999999999999999])
    for at in range(15):
        labels = ["a", "b", "c", "d"][: random.randint(2, 4)]
        count = random.choice([4, 30, 300])
        truth = labels + random.choices(labels, k=count - len(labels)) if count > len(labels) else list(labels)
        random.shuffle(truth)
        weights = [[random.random() + (value == label) for label in labels] for value in truth]
        rows = [[weight / sum(row) for weight in row] for row in weights]
        if at % 4 == 1:  # certain, and full of ties
            rows = [[float(weight == max(row)) for weight in row] for row in weights]
        multi_case(cases, f"multi-{at}", truth, labels, rows)
    for at, places in enumerate([3, 6, 3, 6]):
        labels = ["a", "b", "c"]
        truth = labels + random.choices(labels, k=[300, 600][at // 2])
        weights = [[random.random() + 0.1 * (value == label) for label in labels] for value in truth]
        rows = [[weight / sum(row) for weight in row] for row in weights]
        rounded_case(cases, f"rounded-{at}", truth, labels, rows, places)
    golden = {"scikit_learn": sklearn.__version__, "numpy": numpy.__version__, "cases": cases}
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(len(cases), "cases", path.stat().st_size, "bytes")


main()
