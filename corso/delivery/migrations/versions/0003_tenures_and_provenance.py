"""Version 3: who held which lease when, which of them sent an attempt, and which database on a server this is."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNDER_WAY = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Add them; of what was before nothing is known."""
    op.add_column("attempts", sa.Column("tenure_id", NUMBER))
    op.create_index(
        "attempts_under_way",
        "attempts",
        ["store_id"],
        sqlite_where=UNDER_WAY,
        postgresql_where=UNDER_WAY,
    )
    op.add_column("leases", sa.Column("process", TEXT))
    op.create_table(
        "tenures",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("lease", TEXT, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("store_id", NUMBER, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("taken_at", TEXT, nullable=False),
        sa.Column("ended_at", TEXT),
        sa.Column("ended_as", TEXT),
        sa.UniqueConstraint("lease", "fence", name="tenures_by_lease"),
    )
    op.create_table(
        "provenance",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("salt", TEXT, nullable=False),
        sa.Column("history", TEXT, nullable=False),
    )
