"""Every type that applications use, in the ways in which SQLAlchemy makes columns of them."""

import datetime
import enum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite gives numbers by itself to INTEGER keys only.
BigKey = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Document = sa.JSON().with_variant(JSONB, "postgresql")
Integers = sa.JSON().with_variant(ARRAY(sa.Integer), "postgresql")
Texts = sa.JSON().with_variant(ARRAY(sa.Text), "postgresql")


class Instant(sa.types.TypeDecorator):
    """A time in UTC; SQLite keeps no zone. As SQLAlchemy's manual has it."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value if value is None else value.astimezone(datetime.timezone.utc)

    def process_result_value(self, value, dialect):
        return value if value is None or value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)


class Mood(enum.Enum):
    happy = 1
    so_so = 2
    sad = 3


class Base(DeclarativeBase):
    pass


class Receipt(Base):
    """One for each transaction of a writer."""

    __tablename__ = "receipts"
    __table_args__ = (sa.UniqueConstraint("writer", "number"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    writer: Mapped[int]
    number: Mapped[int] = mapped_column(sa.BigInteger)


class Record(Base):
    """One of each type."""

    __tablename__ = "records"
    __table_args__ = (
        sa.UniqueConstraint("writer", "number", name="uq_records"),
        sa.CheckConstraint("number >= 0", name="ck_records_number"),
        sa.Index("ix_records_sad", "number", sqlite_where=sa.text("yes"), postgresql_where=sa.text("yes")),
        sa.Index("ix_records_lower", sa.text("lower(string)")),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(sa.Integer, sa.Identity(), primary_key=True)
    writer: Mapped[int] = mapped_column(sa.SmallInteger, index=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)
    changed_by: Mapped[int] = mapped_column(sa.BigInteger)
    integer: Mapped[int | None] = mapped_column(sa.Integer)
    big: Mapped[int] = mapped_column(sa.BigInteger)
    small: Mapped[int] = mapped_column(sa.SmallInteger)
    string: Mapped[str] = mapped_column(sa.String(40))
    string_or_null: Mapped[str | None] = mapped_column(sa.String)
    unicode: Mapped[str] = mapped_column(sa.Unicode(200))
    text: Mapped[str] = mapped_column(sa.Text)
    fixed: Mapped[str | None] = mapped_column(sa.CHAR(8))
    yes: Mapped[bool] = mapped_column(sa.Boolean)
    yes_or_null: Mapped[bool | None] = mapped_column(sa.Boolean)
    mood: Mapped[Mood | None] = mapped_column(sa.Enum(Mood, name="mood"))
    level: Mapped[str] = mapped_column(sa.Enum("low", "it's | high", name="level", native_enum=False, length=20))
    price: Mapped[object] = mapped_column(sa.Numeric(12, 4))
    number_or_null: Mapped[object] = mapped_column(sa.Numeric, nullable=True)
    rate: Mapped[float] = mapped_column(sa.Numeric(10, 3, asdecimal=False))
    ratio: Mapped[float] = mapped_column(sa.Float)
    double: Mapped[float | None] = mapped_column(sa.Double)
    real: Mapped[float] = mapped_column(sa.REAL)
    date: Mapped[datetime.date] = mapped_column(sa.Date)
    time: Mapped[datetime.time | None] = mapped_column(sa.Time)
    naive: Mapped[datetime.datetime] = mapped_column(sa.DateTime)
    instant: Mapped[datetime.datetime | None] = mapped_column(Instant)
    duration: Mapped[datetime.timedelta] = mapped_column(sa.Interval)
    json: Mapped[object] = mapped_column(sa.JSON, nullable=True)
    document: Mapped[object] = mapped_column(Document, nullable=True)
    integers: Mapped[list | None] = mapped_column(Integers)
    texts: Mapped[list | None] = mapped_column(Texts)
    blob: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    uuid: Mapped[object] = mapped_column(sa.Uuid, unique=True)
    # As text on either engine.
    uuid_text: Mapped[object] = mapped_column(sa.Uuid(native_uuid=False), nullable=True)


class Account(Base):
    """Its key is given by PostgreSQL alone, and it is computed in part."""

    __tablename__ = "accounts"
    __table_args__ = (sa.Index("uq_accounts_open", "name", unique=True, sqlite_where=sa.text("closed IS NULL"),
                               postgresql_where=sa.text("closed IS NULL")),)

    id: Mapped[int] = mapped_column(BigKey, sa.Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))
    units: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("1"))
    doubled: Mapped[int] = mapped_column(sa.Integer, sa.Computed("units * 2", persisted=True))
    active: Mapped[bool] = mapped_column(sa.Boolean, server_default=sa.true())
    kind: Mapped[str] = mapped_column(sa.String(10), server_default="usual")
    made: Mapped[datetime.datetime] = mapped_column(sa.DateTime, server_default=sa.func.current_timestamp())
    closed: Mapped[datetime.date | None] = mapped_column(sa.Date)


class Entry(Base):
    """Two columns are its key, of which one refers to another table."""

    __tablename__ = "entries"

    account_id: Mapped[int] = mapped_column(BigKey, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    amount: Mapped[object] = mapped_column(sa.Numeric(10, 2))


class Remark(Base):
    """Refers to a key of two columns, and to its own table. The last revision made it."""

    __tablename__ = "Remarks"
    __table_args__ = (
        sa.ForeignKeyConstraint(["account_id", "line"], ["entries.account_id", "entries.line"], ondelete="CASCADE"),
    )

    id: Mapped[object] = mapped_column(sa.Uuid, primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.BigInteger)
    line: Mapped[str] = mapped_column(sa.String(20))
    answers: Mapped[object] = mapped_column(sa.Uuid, sa.ForeignKey("Remarks.id"), nullable=True)
    text: Mapped[str] = mapped_column("The Text", sa.Text)


# A table without a class, and without a key.
events = sa.Table(
    "events", Base.metadata,
    sa.Column("at", Instant, server_default=sa.func.now()),
    sa.Column("what", sa.Text),
)
