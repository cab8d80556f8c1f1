"""Tries to upset the environment: answers that are none, its socket taken away, at last a line without an end."""

import os
import socket
import sys
import time

ANSWERS = [
    b"",
    b"north",
    b'{"move": "up"}',
    b'{"move": "nesw"}',
    b'{"move": ["n"]}',
    b'{"move": null, "outcome": "home"}',
    b'["move", "n"]',
    b"[" * 4000,  # deeper than most parsers go
    b"9" * 4000,
    b'{"move": "\xff"}',
    b'\xff\xfe{\x00}\x00',
    b"maze,outcome\rm01,home",
]


def connect(shared):
    """The environment may not be there yet: it is tried again until it is."""
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(f"{shared}/corridors.sock")
            return link
        except OSError:
            link.close()
            time.sleep(0.02)


shared = sys.argv[1]
link = connect(shared)
os.remove(f"{shared}/corridors.sock")
os.mkdir(f"{shared}/corridors.sock")
try:
    with link.makefile("rb") as environment:
        for answer in ANSWERS:
            # Only to a question: so that each of them costs a maze.
            if any(b"open" in line for line in environment):
                link.sendall(answer + b"\n")
    while True:
        link.sendall(b"n" * 65536)
except OSError:
    print("it hung up")
