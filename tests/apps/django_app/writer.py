"""Transactions of a writer, through the models."""

from django.db import DatabaseError, InterfaceError, connection, transaction

import journal

from .content import record
from .models import Receipt, Record


def write(writer, path, rate):
    """Writes until SIGTERM; the exit code."""

    def transact(number):
        with transaction.atomic():
            receipt = Receipt.objects.create(writer=writer, number=number)
            mine = list(Record.objects.filter(writer=writer).order_by("number"))
            if mine:
                _change(mine[-1], number)
            Record.objects.create(**record(writer, number, number))
            if len(mine) >= journal.LIVE:
                mine[0].delete()
        return receipt.pk

    try:
        return journal.write(
            journal.Journal(path), connection.vendor, rate, transact, (DatabaseError, InterfaceError)
        )
    finally:
        connection.close()


def _change(row, number):
    for field, value in record(row.writer, row.number, number).items():
        setattr(row, field, value)
    row.save()


def verify(directory):
    """Holds what the database has against each writer's journal, `<directory>/<writer>`."""
    for writer, path in journal.files(directory):
        receipts = dict(Receipt.objects.filter(writer=writer).values_list("number", "pk"))
        stored = {row["number"]: row for row in Record.objects.filter(writer=writer).values()}
        made = lambda number, by: record(writer, number, by)
        journal.verify(writer, journal.Journal(path), receipts, stored, made)
