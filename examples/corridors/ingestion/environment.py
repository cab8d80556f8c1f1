"""The environment: leads an agent through mazes that it does not see, and writes down from which it got home.

    python3 environment.py INPUT OUTPUT SHARED

The agent is a stranger's. It may send anything or nothing, at any pace, and can write to SHARED as well; so nothing is
read there but the connection, no line is longer than it may be, and nothing is waited for without an end. Whatever it
does, this program ends well: it costs the agent mazes, and no more.
"""

import csv
import json
import socket
import sys
import time

CONNECT = 10.0  # seconds that the agent has to connect
ANSWER = 3.0  # seconds that it has for an answer
ALL = 45.0  # seconds for everything: below the run's `wall`, at which nothing would be scored
LINE = 4096  # bytes of an answer, at most
BUDGET = 4  # steps for each square that is no wall
STEPS = {"n": (-1, 0), "e": (0, 1), "s": (1, 0), "w": (0, -1)}


class Gone(Exception):
    """Nobody to talk to any more, or nobody worth it."""


class Agent:
    """Lines to and from the agent; `end` is when all has to be over."""

    def __init__(self, link, end):
        self.link, self.end = link, end
        self.rest = b""

    def until(self):
        """When it has had its time."""
        return min(time.monotonic() + ANSWER, self.end)

    def wait(self, until):
        """Lets the next call on the connection take until then."""
        left = until - time.monotonic()
        if left <= 0:
            raise Gone("it took too long")
        self.link.settimeout(left)

    def tell(self, message):
        # An agent that never reads would have us wait here, once the buffers are full.
        self.wait(self.until())
        self.link.sendall(json.dumps(message).encode() + b"\n")

    def hear(self):
        """One line. The time is for the whole of it: a byte now and then buys no more."""
        until = self.until()
        while b"\n" not in self.rest:
            if len(self.rest) > LINE:
                raise Gone("its line is too long")
            self.wait(until)
            part = self.link.recv(LINE)
            if not part:
                raise Gone("it hung up")
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        if len(line) > LINE:
            raise Gone("its line is too long")
        return line


class Maze:
    """Where one can be, begins and wants to get: squares, as row and column."""

    def __init__(self, name, rows):
        squares = {(y, x): square for y, row in enumerate(rows) for x, square in enumerate(row) if square != "#"}
        self.name, self.free = name, set(squares)
        (self.start,) = (at for at, square in squares.items() if square == "S")
        (self.goal,) = (at for at, square in squares.items() if square == "G")
        self.budget = BUDGET * len(self.free)


def read(path):
    """Mazes with an empty line between them: the name, then the rows."""
    with open(path, encoding="utf-8") as file:
        blocks = (block.split() for block in file.read().strip().split("\n\n"))
        return [Maze(name, rows) for name, *rows in blocks]


def beside(at, move):
    return at[0] + STEPS[move][0], at[1] + STEPS[move][1]


def move_of(line):
    """The move that an answer asks for, or None if it is no answer."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    move = answer.get("move") if isinstance(answer, dict) else None
    return move if isinstance(move, str) and move in STEPS else None


def play(agent, maze):
    """Leads the agent through one maze: what came of it, and why."""
    at = maze.start
    for step in range(1, maze.budget + 1):
        around = "".join(move for move in STEPS if beside(at, move) in maze.free)
        agent.tell({"maze": maze.name, "open": around})
        move = move_of(agent.hear())
        if move is None:
            return "lost", f"no answer at step {step}"
        if move in around:  # or it ran into a wall, and the step is gone
            at = beside(at, move)
        if at == maze.goal:
            return "home", f"{step} of {maze.budget} steps"
    return "lost", f"all {maze.budget} steps"


def meet(shared):
    """Waits for the agent: its connection. What it may have put in our place is its own loss."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{shared}/corridors.sock")
        door.listen(1)
        door.settimeout(CONNECT)
        return door.accept()[0]


def play_all(mazes, shared, outcomes):
    """Fills in the outcomes of those mazes that are played."""
    end = time.monotonic() + ALL
    try:
        with meet(shared) as link:
            agent = Agent(link, end)
            for maze in mazes:
                outcomes[maze.name], why = play(agent, maze)
                # For the organizers' log, and never in the agent's words.
                print(maze.name, outcomes[maze.name], why)
                agent.tell({"maze": maze.name, "outcome": outcomes[maze.name]})
    except Gone as gone:
        print("the agent is let go:", gone)
    except OSError as error:
        # The connection's only: no file is read or written in here.
        print("the agent is let go:", error.strerror or error)


def main(source, target, shared):
    mazes = read(f"{source}/mazes.txt")
    outcomes = {maze.name: "lost" for maze in mazes}
    play_all(mazes, shared, outcomes)
    with open(f"{target}/predictions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["maze", "outcome"], *outcomes.items()])


if __name__ == "__main__":
    main(*sys.argv[1:])
