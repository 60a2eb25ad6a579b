"""entries of accounts, and remarks on them"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table(
        "entries",
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line", sa.String(length=20), nullable=False),
        sa.Column("amount", sa.Numeric(precision=10, scale=2), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "line"),
    )
    op.create_table(
        "Remarks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.String(length=20), nullable=False),
        sa.Column("answers", sa.Uuid(), nullable=True),
        sa.Column("The Text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "line"], ["entries.account_id", "entries.line"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["answers"], ["Remarks.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
