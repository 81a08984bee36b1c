"""Writes on one connection of a pool and reads on the others with psycopg 3, and counts
the reads that lack what was written. The argument is how often."""

import itertools
import sys

import psycopg

writer = psycopg.connect("", autocommit=True)
readers = itertools.cycle([psycopg.connect("", autocommit=True) for _ in range(3)])
stale = 0
for turn in range(1, int(sys.argv[1]) + 1):
    if turn % 2:
        writer.execute("UPDATE item SET stock = %s WHERE id = 1", (turn,))
    else:
        with writer.transaction():
            writer.execute("SELECT stock FROM item WHERE id = 1 FOR UPDATE")
            writer.execute("UPDATE item SET stock = %s WHERE id = 1", (turn,))
    for _ in range(3):
        found = next(readers).execute("SELECT stock FROM item WHERE id = %s", (1,)).fetchone()[0]
        stale += found != turn
print(stale, "stale")
