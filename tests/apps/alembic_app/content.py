"""Rows of every table, the same ones for the same seed."""

import sqlalchemy as sa

from values import Values

from .models import Account, Entry, Mood, Receipt, Record, Remark, events


def record(writer, number, changed_by):
    """The fields of a record, all of them but its key."""
    values = Values(f"{writer} {number} {changed_by}")
    return {
        "writer": writer,
        "number": number,
        "changed_by": changed_by,
        **_texts(values),
        **_numbers(values),
        **_times(values),
        "yes": values.flag("yes"),
        "yes_or_null": values.maybe("yes", values.flag("yes_or_null")),
        "mood": values.choice("mood", [None, *Mood]),
        "level": values.choice("level", ["low", "it's | high"]),
        "json": values.document("json"),
        # SQLAlchemy tells JSON's null from no value.
        "document": values.choice("document", [sa.null(), None, values.document("document")]),
        "integers": values.list("integers", lambda name: values.integer(name, 32)),
        "texts": values.maybe("texts", values.list("texts", lambda name: values.text(name, 100))),
        "blob": values.maybe("blob", values.blob("blob")),
        "uuid": values.uuid("uuid"),
        "uuid_text": values.maybe("uuid", values.uuid("uuid_text")),
    }


def _texts(values):
    return {
        "string": values.text("string", 40),
        "string_or_null": values.maybe("string", values.text("string_or_null", 3000)),
        "unicode": values.text("unicode", 200),
        "text": values.text("text", 100_000),
        # A shorter one comes back from PostgreSQL with spaces behind it.
        "fixed": values.maybe("fixed", values.uuid("fixed").hex[:8]),
    }


def _numbers(values):
    return {
        "integer": values.maybe("integer", values.integer("integer", 32)),
        "big": values.integer("big", 64),
        "small": values.integer("small", 16),
        "price": values.decimal("price", 12, 4),
        "number_or_null": values.maybe("number", values.decimal("number_or_null", 9, 5)),
        "rate": float(values.decimal("rate", 10, 3)),
        "ratio": values.float("ratio"),
        "double": values.maybe("double", values.float("double")),
        "real": values.short_float("real"),
    }


def _times(values):
    return {
        "date": values.date("date"),
        "time": values.maybe("time", values.time("time")),
        "naive": values.instant("naive").replace(tzinfo=None),
        "instant": values.maybe("instant", values.instant("instant")),
        "duration": values.duration("duration"),
    }


def fill(session, seeds):
    """Rows of every table for each seed."""
    for seed in seeds:
        values = Values(seed)
        session.add(Receipt(writer=0, number=seed))
        session.add(Record(**record(0, seed, seed)))
        account = Account(name=values.word("account", 50), closed=values.maybe("closed", values.date("closed")))
        # What is left out has the database's default.
        if values.flag("units"):
            account.units, account.active, account.made = -seed, False, values.instant("made").replace(tzinfo=None)
        session.add(account)
        session.flush()
        _entries(session, values, account)
        session.execute(events.insert().values(what=values.text("event", 500)))
        session.execute(events.insert().values(at=values.instant("event"), what=None))


def _entries(session, values, account):
    for line in ("a", "b", ""):
        session.add(Entry(account_id=account.id, line=line, amount=values.decimal(f"amount {line}", 10, 2)))
    session.flush()
    first = Remark(id=values.uuid("first"), account_id=account.id, line="a", text=values.text("first", 500))
    session.add(first)
    session.flush()
    answer = Remark(id=values.uuid("answer"), account_id=account.id, line="", text="", answers=first.id)
    session.add(answer)
    session.flush()
