"""The right hand on the wall. Where walls stand by themselves it may walk around one of them for ever."""

import json
import socket
import sys
import time

AROUND = "nesw"


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


heading = 0
with connect(sys.argv[1]).makefile("rw", encoding="utf-8") as environment:
    for line in environment:
        said = json.loads(line)
        if "outcome" in said:
            heading = 0
            continue
        # To the right, straight on, to the left, back.
        ways = [(heading + turn) % 4 for turn in (1, 0, 3, 2)]
        heading = next(way for way in ways if AROUND[way] in said["open"])
        environment.write(json.dumps({"move": AROUND[heading]}) + "\n")
        environment.flush()
