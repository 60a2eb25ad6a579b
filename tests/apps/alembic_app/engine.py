"""The engine of `DATABASE_URL`."""

import os

import sqlalchemy as sa
from sqlalchemy.pool import NullPool


def connect():
    """An engine for `sqlite:////path` or `postgres://…`, in which SQLite keeps foreign keys."""
    url = os.environ["DATABASE_URL"]
    if not url.startswith("sqlite"):
        return sa.create_engine("postgresql+psycopg://" + url.split("://", 1)[1], poolclass=NullPool)
    engine = sa.create_engine(url, connect_args={"timeout": 60}, poolclass=NullPool)

    @sa.event.listens_for(engine, "connect")
    def connected(connection, _record):
        # The driver would begin when it writes first, which is too late for who reads before.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
