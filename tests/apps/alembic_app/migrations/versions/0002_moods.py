"""records have a mood and a level, and longer strings"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    mood = sa.Enum("happy", "so_so", "sad", name="mood")
    mood.create(op.get_bind(), checkfirst=True)
    level = sa.Enum("low", "it's | high", name="level", native_enum=False, length=20)
    # SQLite makes the table anew, and would forget how it numbers rows.
    with op.batch_alter_table("records", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("mood", mood, nullable=True))
        batch.add_column(sa.Column("level", level, server_default="low", nullable=False))
        batch.alter_column("string", existing_type=sa.String(length=30), type_=sa.String(length=40))
    where = sa.text("yes")
    op.create_index("ix_records_sad", "records", ["number"], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_records_lower", "records", [sa.text("lower(string)")])
    op.create_index("ix_records_writer", "records", ["writer"])
