"""An application on SQLAlchemy and Alembic: `python -m alembic_app migrate|fill|write|check …`."""

import argparse
import os
import sys

from alembic import command
from alembic.config import Config
from sqlalchemy.orm import Session

import journal

from . import checks, content, writer
from .engine import connect


def arguments():
    parser = argparse.ArgumentParser(prog="alembic_app")
    commands = parser.add_subparsers(dest="command", required=True)
    migrate = commands.add_parser("migrate", help="run the application's own migrations")
    migrate.add_argument("revision", nargs="?", default="head")
    fill = commands.add_parser("fill", help="make rows of every table")
    fill.add_argument("first", type=int, help="the first seed")
    fill.add_argument("count", type=int)
    write = commands.add_parser("write", help="make transactions until SIGTERM")
    write.add_argument("writer", type=int)
    write.add_argument("journal")
    write.add_argument("--rate", type=float, default=20)
    write.add_argument("--leash", action="store_true", help="end where the standard input ends")
    check = commands.add_parser("check", help="print every row of every table")
    check.add_argument("--insert", action="store_true", help="insert into every table too")
    check.add_argument("--journals", metavar="DIRECTORY", help="hold the rows against the writers' journals")
    return parser.parse_args()


def main():
    given = arguments()
    engine = connect()
    if given.command == "migrate":
        upgrade(engine, given.revision)
    elif given.command == "fill":
        with Session(engine) as session, session.begin():
            content.fill(session, range(given.first, given.first + given.count))
    elif given.command == "write":
        journal.leash(given.leash)
        return writer.write(engine, given.writer, given.journal, given.rate)
    else:
        checks.check(engine, given.insert, given.journals)
    return 0


def upgrade(engine, revision):
    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


if __name__ == "__main__":
    sys.exit(main())
