"""What the application finds in its database."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

import canonical

from . import writer
from .content import fill
from .models import Base

# Nobody fills rows of this seed.
UNUSED = 1_000_001


def check(engine, insert, journals):
    """Prints every row of every table, and tries what an application does with them."""
    with engine.connect() as connection, Session(connection) as session:
        tables = Base.metadata.sorted_tables
        print(canonical.dump({table.name: session.execute(sa.select(table)).all() for table in tables}))
        if journals:
            writer.verify(session, journals)
        if insert:
            _insert(session)


def _insert(session):
    """A row of each table, with keys above all there are; nothing of it is kept."""
    before = dict(_largest(session))
    fill(session, [UNUSED])
    for table, largest in _largest(session):
        if largest <= before[table]:
            raise SystemExit(f"{table}: nothing came behind key {before[table]}")
    session.rollback()


def _largest(session):
    for table in Base.metadata.sorted_tables:
        key = table.autoincrement_column
        if key is not None:
            yield table.name, session.scalar(sa.select(sa.func.max(key))) or 0
