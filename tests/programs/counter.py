"""Counts: one row a number, and one line for each number that the database has acknowledged.

An ordinary program that was not written for Switchback: it reads DATABASE_URL when it starts, keeps
its connection, and ends with a traceback where its database refuses a write.
"""

import json
import os
import sqlite3
import subprocess
import time


class Sqlite:
    name = "sqlite"

    def __init__(self, url):
        self.connection = sqlite3.connect(url[len("sqlite://") :], timeout=30)

    def add(self):
        with self.connection:
            insert = "INSERT INTO numbers (note) VALUES ('counted')"
            return self.connection.execute(insert).lastrowid


class Postgres:
    name = "postgres"

    def __init__(self, url):
        self.command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c"]

    def add(self):
        insert = "INSERT INTO numbers (note) VALUES ('counted') RETURNING n"
        said = subprocess.run(self.command + [insert], check=True, stdout=subprocess.PIPE)
        return int(said.stdout)


def main():
    url = os.environ["DATABASE_URL"]
    engine = Postgres(url) if url.startswith("postgres") else Sqlite(url)
    while True:
        print(json.dumps({"engine": engine.name, "n": engine.add()}), flush=True)
        time.sleep(0.002)


main()
