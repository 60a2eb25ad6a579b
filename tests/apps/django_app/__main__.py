"""An application on Django: `python -m django_app migrate|fill|write|check …`."""

import argparse
import os
import sys

import django

import journal


def arguments():
    parser = argparse.ArgumentParser(prog="django_app")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="run the application's own migrations")
    fill = commands.add_parser("fill", help="make rows of every model")
    fill.add_argument("first", type=int, help="the first seed; the one who logs in is of 1")
    fill.add_argument("count", type=int)
    write = commands.add_parser("write", help="make transactions until SIGTERM")
    write.add_argument("writer", type=int)
    write.add_argument("journal")
    write.add_argument("--rate", type=float, default=20)
    write.add_argument("--leash", action="store_true", help="end where the standard input ends")
    check = commands.add_parser("check", help="print every row of every model")
    check.add_argument("--insert", action="store_true", help="insert into every model too, and log in")
    check.add_argument("--journals", metavar="DIRECTORY", help="hold the rows against the writers' journals")
    return parser.parse_args()


def main():
    given = arguments()
    os.environ["DJANGO_SETTINGS_MODULE"] = "django_app.settings"
    django.setup()
    # Models can be imported from here on.
    from . import checks, content, writer

    if given.command == "migrate":
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
    elif given.command == "fill":
        from django.db import transaction

        with transaction.atomic():
            content.fill(range(given.first, given.first + given.count))
    elif given.command == "write":
        journal.leash(given.leash)
        return writer.write(given.writer, given.journal, given.rate)
    else:
        checks.check(given.insert, given.journals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
