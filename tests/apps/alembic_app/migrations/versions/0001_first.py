"""accounts, events, receipts and records"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("units", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("doubled", sa.Integer(), sa.Computed("units * 2", persisted=True), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("kind", sa.String(length=10), server_default="usual", nullable=False),
        sa.Column("made", sa.DateTime(), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("closed", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_accounts_open",
        "accounts",
        ["name"],
        unique=True,
        sqlite_where=sa.text("closed IS NULL"),
        postgresql_where=sa.text("closed IS NULL"),
    )
    op.create_table(
        "events",
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=True),
        sa.Column("what", sa.Text(), nullable=True),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("writer", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("writer", "number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("writer", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.BigInteger(), nullable=False),
        sa.Column("integer", sa.Integer(), nullable=True),
        sa.Column("big", sa.BigInteger(), nullable=False),
        sa.Column("small", sa.SmallInteger(), nullable=False),
        sa.Column("string", sa.String(length=30), nullable=False),
        sa.Column("string_or_null", sa.String(), nullable=True),
        sa.Column("unicode", sa.Unicode(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("fixed", sa.CHAR(length=8), nullable=True),
        sa.Column("yes", sa.Boolean(), nullable=False),
        sa.Column("yes_or_null", sa.Boolean(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=False),
        sa.Column("number_or_null", sa.Numeric(), nullable=True),
        sa.Column("rate", sa.Numeric(precision=10, scale=3, asdecimal=False), nullable=False),
        sa.Column("ratio", sa.Float(), nullable=False),
        sa.Column("double", sa.Double(), nullable=True),
        sa.Column("real", sa.REAL(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("time", sa.Time(), nullable=True),
        sa.Column("naive", sa.DateTime(), nullable=False),
        sa.Column("instant", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration", sa.Interval(), nullable=False),
        sa.Column("json", sa.JSON(), nullable=True),
        sa.Column("document", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("integers", sa.JSON().with_variant(postgresql.ARRAY(sa.Integer()), "postgresql"), nullable=True),
        sa.Column("texts", sa.JSON().with_variant(postgresql.ARRAY(sa.Text()), "postgresql"), nullable=True),
        sa.Column("blob", sa.LargeBinary(), nullable=True),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("uuid_text", sa.Uuid(native_uuid=False), nullable=True),
        sa.CheckConstraint("number >= 0", name="ck_records_number"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid", name="uq_records_uuid"),
        sa.UniqueConstraint("writer", "number", name="uq_records"),
        sqlite_autoincrement=True,
    )
