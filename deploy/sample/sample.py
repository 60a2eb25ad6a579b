"""A sample application: it writes all the time, and says how much it has.

It knows nothing of Switchback but the variables that `switchback exec` gives it: DATABASE_URL, and
SWITCHBACK_ACTIVE_ENGINE and SWITCHBACK_EPOCH to show. `exec` ends it with SIGTERM at a switch and
starts it again on the engine that is active then.
"""

import os
import signal
import sqlite3
import sys
import time
from urllib.parse import unquote

# Between two writes, and between two lines.
PAUSE = float(os.environ.get("SAMPLE_PAUSE", "0.05"))
REPORT = float(os.environ.get("SAMPLE_REPORT", "2"))

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item TEXT NOT NULL,
    cents INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
ITEMS = ("tea", "coffee", "water", "juice")


class Sqlite:
    insert = "INSERT INTO orders (item, cents) VALUES (?, ?)"

    def __init__(self, url):
        # Writers wait at a switch, so the time-out is longer than its deadline.
        self.connection = sqlite3.connect(unquote(url.removeprefix("sqlite://")), timeout=30)
        # A log beside the file lets readers go on while somebody writes. All who have the file
        # open share memory for it: they have to run on one machine.
        self.connection.execute("PRAGMA journal_mode = WAL")
        # The migration makes the table in PostgreSQL.
        self.connection.execute(SCHEMA)
        self.connection.commit()


class Postgres:
    insert = "INSERT INTO orders (item, cents) VALUES (%s, %s)"

    def __init__(self, url):
        import psycopg

        self.connection = psycopg.connect(url)


class Stop(Exception):
    pass


def stop(*_):
    raise Stop


def main():
    url = os.environ["DATABASE_URL"]
    engine = Postgres(url) if url.startswith("postgres") else Sqlite(url)
    signal.signal(signal.SIGTERM, stop)
    written, reported = 0, 0.0
    try:
        while True:
            with_item = (ITEMS[written % len(ITEMS)], 100 + written % 900)
            engine.connection.execute(engine.insert, with_item)
            engine.connection.commit()
            written += 1
            if time.monotonic() - reported >= REPORT:
                reported = time.monotonic()
                report(engine, written)
            time.sleep(PAUSE)
    except Stop:
        report(engine, written)


def report(engine, written):
    engine.connection.rollback()
    (rows,) = engine.connection.execute("SELECT count(*) FROM orders").fetchone()
    name = os.environ.get("SWITCHBACK_ACTIVE_ENGINE", type(engine).__name__.lower())
    epoch = os.environ.get("SWITCHBACK_EPOCH", "?")
    print(f"engine={name} epoch={epoch} rows={rows} written_since_start={written}")


if __name__ == "__main__":
    sys.exit(main())
