"""Makes the primes example: numbers, and which of them are prime. Made up, so that it needs no data of anybody's.

    python3 examples/make/primes.py

It needs nothing but Python, and a second run changes nothing.
"""

from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / "primes"
NUMBERS = range(2, 202)
MARK = "# ---- samples: written by `examples/make`, do not edit below this line ----\n"


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def word(prime):
    return "prime" if prime else "composite"


SAMPLES = [
    ("good", "Every number is tried.", is_prime),
    ("odd", "All odd numbers are taken for primes.", lambda n: n % 2 == 1),
    ("wheel", "What 2, 3 and 5 do not divide is taken for a prime.", lambda n: n in (2, 3, 5) or all(n % d for d in (2, 3, 5))),
]


def write(path, rule):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(["id,label\n", *(f"{n},{word(rule(n))}\n" for n in NUMBERS)]))


def scores(rule):
    """Accuracy, and F1 of the primes, from their definitions."""
    hits = sum(rule(n) == is_prime(n) for n in NUMBERS)
    found = sum(rule(n) and is_prime(n) for n in NUMBERS)
    said, there = sum(map(rule, NUMBERS)), sum(map(is_prime, NUMBERS))
    return {"accuracy": hits / len(NUMBERS), "f1": 2 * found / (said + there)}


def main():
    write(HOME / "data/reference/reference.csv", is_prime)
    write(HOME / "data/public/sample.csv", lambda n: False)
    text = MARK
    for name, words, rule in SAMPLES:
        write(HOME / f"solutions/{name}.csv", rule)
        text += f'\n# {words}\n[[solutions]]\npath = "solutions/{name}.csv"\n[solutions.scores]\n'
        text += "".join(f'"{metric}" = {value!r}\n' for metric, value in scores(rule).items())
    missing = (HOME / "solutions/good.csv").read_text().splitlines(keepends=True)[:-3]
    (HOME / "solutions/missing-rows.csv").write_text("".join(missing))
    text += '\n# The last three numbers are left out.\n[[solutions]]\npath = "solutions/missing-rows.csv"\n'
    text += 'outcome = "invalid-submission"\nproblems = { total = 3 }\n'
    manifest = HOME / "challenge.toml"
    manifest.write_text(manifest.read_text().split(MARK)[0] + text)


if __name__ == "__main__":
    main()
