"""Transactions of a writer, through the models."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

import journal

from .content import record
from .models import Receipt, Record


def write(engine, writer, path, rate):
    """Writes until SIGTERM; the exit code."""

    def transact(number):
        with Session(engine) as session, session.begin():
            receipt = Receipt(writer=writer, number=number)
            session.add(receipt)
            mine = session.scalars(sa.select(Record).where(Record.writer == writer).order_by(Record.number)).all()
            if mine:
                _change(mine[-1], number)
            session.add(Record(**record(writer, number, number)))
            if len(mine) >= journal.LIVE:
                session.delete(mine[0])
            session.flush()
            key = receipt.id
        return key

    return journal.write(journal.Journal(path), engine.dialect.name, rate, transact, sa.exc.DBAPIError)


def _change(row, number):
    for field, value in record(row.writer, row.number, number).items():
        setattr(row, field, value)


def verify(session, directory):
    """Holds what the database has against each writer's journal, `<directory>/<writer>`."""
    for writer, path in journal.files(directory):
        receipts = session.execute(sa.select(Receipt.number, Receipt.id).where(Receipt.writer == writer))
        rows = session.scalars(sa.select(Record).where(Record.writer == writer))
        stored = {row.number: {field: getattr(row, field) for field in record(0, 0, 0)} for row in rows}
        made = lambda number, by: _read_back(record(writer, number, by))
        journal.verify(writer, journal.Journal(path), dict(receipts.tuples().all()), stored, made)


def _read_back(fields):
    """Both kinds of null are None when they are read."""
    return {name: None if isinstance(value, sa.sql.elements.Null) else value for name, value in fields.items()}
