"""What a writer has begun and what an engine has acknowledged, and the state that follows from it.

A writer makes transactions 1, 2, 3, … and each leaves a receipt with its number. Transaction N adds
the record N, changes the record before it, and removes the oldest one where there are more than
LIVE. So the receipts alone tell which records there must be.
"""

import json
import os
import signal
import sys
import threading
import time

LIVE = 6
# What sysexits.h calls EX_TEMPFAIL: come again, on whichever engine is active then.
TRY_AGAIN = 75


class Journal:
    """A file with a line of JSON for each thing that happened; only appended to."""

    def __init__(self, path):
        self.path = path
        self.begun = 0
        self.acknowledged = {}
        for line in _lines(path):
            self.begun = max(self.begun, line["n"])
            if "id" in line:
                self.acknowledged[line["n"]] = line["id"]
        self.file = open(path, "a", encoding="utf-8")

    def begin(self):
        self.begun += 1
        self._write({"n": self.begun})
        return self.begun

    def acknowledge(self, number, receipt, engine):
        self.acknowledged[number] = receipt
        self._write({"n": number, "id": receipt, "engine": engine})

    def _write(self, line):
        # One write: a killed writer leaves a whole line or none.
        os.write(self.file.fileno(), (json.dumps(line) + "\n").encode())


def _lines(path):
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def records(numbers):
    """The records that there are after these transactions: each with the one that changed it last."""
    live = {}
    for number in sorted(numbers):
        if live:
            live[max(live)] = number
        live[number] = number
        if len(live) > LIVE:
            del live[min(live)]
    return live


def before(numbers):
    """What the next transaction changes and removes; None where there is nothing."""
    live = records(numbers)
    return (max(live) if live else None, min(live) if len(live) >= LIVE else None)


def leash(held):
    """Ends the process where its standard input ends: whoever started it is gone."""

    def hold():
        # Not through `sys.stdin`, whose lock would be held when the process ends by itself.
        while os.read(0, 4096):
            pass
        os._exit(1)

    if held:
        threading.Thread(target=hold, daemon=True).start()


def write(journal, engine, rate, transact, refused):
    """Makes transactions until SIGTERM; the exit code.

    `transact(number)` commits one and returns the id of its receipt, `refused` are the exceptions
    by which an engine refuses it or goes away.
    """
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    while not stop:
        number = journal.begin()
        try:
            receipt = transact(number)
        except refused as error:
            # Whether it was committed is not known: a connection may break behind the commit.
            print(f"transaction {number} on {engine}: {type(error).__name__}", file=sys.stderr)
            return TRY_AGAIN
        journal.acknowledge(number, receipt, engine)
        time.sleep(1 / rate)
    return 0


def verify(writer, journal, receipts, stored, made):
    """Fails unless an engine holds what its writer was told, and nothing that it never did.

    `receipts` are ids by number, `stored` the records by number, and `made(number, changed_by)`
    is what such a record must be.
    """
    for number, receipt in journal.acknowledged.items():
        if receipts.get(number) != receipt:
            raise SystemExit(f"writer {writer}: transaction {number} was acknowledged and is not there")
    if any(number > journal.begun for number in receipts):
        raise SystemExit(f"writer {writer}: there are receipts of transactions that never were")
    wanted = {number: made(number, by) for number, by in records(receipts).items()}
    if stored.keys() != wanted.keys():
        raise SystemExit(f"writer {writer}: the records are {sorted(stored)}, not {sorted(wanted)}")
    for number, record in wanted.items():
        for field, value in record.items():
            if stored[number][field] != value:
                raise SystemExit(f"writer {writer}: {field} of record {number} is not what was written")


def files(directory):
    """Each writer's number, and its journal."""
    return sorted((int(name), os.path.join(directory, name)) for name in os.listdir(directory))
