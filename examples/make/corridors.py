"""Makes the corridors example: the mazes, and what the agents must get.

    python examples/make/corridors.py

It needs no packages. The mazes are drawn from a fixed seed: a second run changes nothing. The agents under
corridors/solutions are written by hand; here they meet the environment, without containers.
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import EXAMPLES, MARK, read_csv, write_csv

HOME = EXAMPLES / "corridors"
# A contest would draw from the operating system's randomness instead: whoever has this seed has the mazes.
SEED = 20260101
MAZES = 20
HEADER = ["maze", "outcome"]
BESIDE = [(-1, 0), (0, 1), (1, 0), (0, -1)]


def draw(chance, size, loops):
    """A maze of `size` by `size` squares. Rooms lie at odd places; a walk that turns back where it is stuck joins them
    all, in one way only. Then a part `loops` falls of the walls between two rooms, and there are more ways than one."""
    rooms = [(y, x) for y in range(1, size, 2) for x in range(1, size, 2)]
    free, trail = {rooms[0]}, [rooms[0]]
    while trail:
        y, x = trail[-1]
        ways = [(dy, dx) for dy, dx in BESIDE if (y + 2 * dy, x + 2 * dx) in rooms]
        ways = [(dy, dx) for dy, dx in ways if (y + 2 * dy, x + 2 * dx) not in free]
        if not ways:
            trail.pop()
            continue
        dy, dx = chance.choice(ways)
        trail.append((y + 2 * dy, x + 2 * dx))
        free |= {(y + dy, x + dx), trail[-1]}
    walls = [(y, x) for y in range(1, size - 1) for x in range(1, size - 1) if (y + x) % 2 and (y, x) not in free]
    chance.shuffle(walls)
    free |= set(walls[: int(loops * len(walls))])
    start, goal = ends(chance, rooms, free)
    square = {**dict.fromkeys(free, "."), start: "S", goal: "G"}
    return ["".join(square.get((y, x), "#") for x in range(size)) for y in range(size)]


def ends(chance, rooms, free):
    """A room to start in, and one of the farther half to get to."""
    start = chance.choice(rooms)
    far, edge = {start: 0}, [start]
    for y, x in edge:
        for at in ((y + dy, x + dx) for dy, dx in BESIDE):
            if at in free and at not in far:
                far[at] = far[y, x] + 1
                edge.append(at)
    # All can be reached.
    assert len(far) == len(free)
    return start, chance.choice(sorted(rooms, key=far.get)[len(rooms) // 2 :])


def make_mazes():
    """9 to 15 squares wide; in every other one walls stand by themselves."""
    chance = random.Random(SEED)
    names = [f"m{number:02}" for number in range(1, MAZES + 1)]
    blocks = []
    for at, name in enumerate(names):
        rows = draw(chance, (9, 11, 13, 15)[at * 4 // MAZES], 0.25 if at % 2 else 0)
        blocks.append("\n".join([name, *rows]) + "\n")
    (HOME / "data/input").mkdir(parents=True, exist_ok=True)
    (HOME / "data/input/mazes.txt").write_text("\n".join(blocks), encoding="utf-8")
    # Whoever gets home from all of them is right everywhere.
    write_csv(HOME / "data/reference/truth.csv", HEADER, [[name, "home"] for name in names])


def accuracy(agent):
    """The share of mazes that an agent gets home from."""
    with tempfile.TemporaryDirectory() as target, tempfile.TemporaryDirectory() as shared:
        program = subprocess.Popen([sys.executable, HOME / agent / "main.py", shared], stdout=subprocess.DEVNULL)
        try:
            environment = [sys.executable, HOME / "ingestion/environment.py", HOME / "data/input", target, shared]
            subprocess.run(environment, check=True, stdout=subprocess.DEVNULL)
        finally:
            program.kill()
            program.wait()
        _, rows = read_csv(Path(target) / "predictions.csv")
    return sum(outcome == "home" for _, outcome in rows) / MAZES


def make():
    """Writes what every agent must get."""
    entries = []

    def entry(path, why, *lines):
        entries.append(f'\n# {why}\n[[solutions]]\npath = "{path}"\n' + "".join(f"{line}\n" for line in lines))

    for path, why in [
        ("solutions/explorer", "It remembers where it was."),
        ("solutions/wall-follower", "The right hand on the wall: around in circles, where walls stand by themselves."),
        ("solutions/random-walk", "Any way, by chance."),
        ("template", "What participants begin with."),
        ("solutions/rude", "Answers that are none, and a line without an end: each costs mazes, and nothing else."),
        ("solutions/silent", "It connects and says nothing: the environment does not wait for ever."),
    ]:
        entry(path, why, "[solutions.scores]", f"accuracy = {accuracy(path)!r}")
    entry("solutions/raises", "An exception before it has met the environment.", 'outcome = "run-failed"')

    path = HOME / "challenge.toml"
    head, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{path}: the line that begins the samples is missing; put it back:\n{MARK}")
    path.write_text(head + mark + "".join(entries), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    make_mazes()
    make()
