"""What the examples share: drawing ids and splits, writing files, listing the samples in challenge.toml.

It deliberately knows no metric and no model: each example computes what its samples must get.
"""

import csv
import random
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent
# Everything below this line of a challenge.toml is written by the example's script.
MARK = "# ---- samples: written by `examples/make`, do not edit below this line ----\n"
# No vowels: an id is never a word, `nan`, a number or a date to a reader that guesses types.
LETTERS = "bcdfghjklmnpqrstvwxz"
# Draws from the operating system: there is no seed, so nothing that is kept can repeat the draw.
SECRET = random.SystemRandom()


def draw_ids(count):
    """Distinct random ids of seven letters; they say nothing about the row."""
    ids = set()
    while len(ids) < count:
        ids.add("".join(SECRET.choices(LETTERS, k=7)))
    ids = list(ids)
    SECRET.shuffle(ids)
    return ids


def draw_order(count):
    """A secret permutation of 0 .. count."""
    order = list(range(count))
    SECRET.shuffle(order)
    return order


def write_csv(path, header, rows, delimiter=",", encoding="utf-8", end="\n"):
    """Writes a header and rows of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path):
    """Header and rows, as text."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


class Samples:
    """The files under `solutions/` and their entries in challenge.toml."""

    def __init__(self, challenge):
        self.challenge = challenge
        self.folder = challenge / "solutions"
        self.entries = []
        self.folder.mkdir(exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()

    def table(self, name, header, rows, **how):
        """Writes a CSV sample; `expect…` says what it gets."""
        write_csv(self.folder / name, header, rows, **how)
        return name

    def raw(self, name, data):
        """Writes a sample byte for byte."""
        (self.folder / name).write_bytes(data)
        return name

    def scored(self, name, why, scores):
        """The sample gets exactly these scores."""
        lines = [f"\n# {why}\n[[solutions]]\npath = \"solutions/{name}\"\n[solutions.scores]\n"]
        lines += [f'"{metric}" = {value!r}\n' if "@" in metric else f"{metric} = {value!r}\n"
                  for metric, value in scores.items()]
        self.entries.append("".join(lines))

    def refused(self, name, why, total):
        """The sample is refused, with this many problems."""
        self.entries.append(f"\n# {why}\n[[solutions]]\npath = \"solutions/{name}\"\n"
                            f'outcome = "invalid-submission"\nproblems = {{ total = {total} }}\n')

    def save(self):
        """Replaces what challenge.toml says below the mark."""
        path = self.challenge / "challenge.toml"
        head, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
        if not mark:
            raise SystemExit(f"{path}: the line that begins the samples is missing; put it back:\n{MARK}")
        path.write_text(head + mark + "".join(self.entries), encoding="utf-8")
