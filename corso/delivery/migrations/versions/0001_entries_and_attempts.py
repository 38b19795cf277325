"""Version 1: what is known of every order and fulfillment, and every request that was about to leave."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "entries",
        sa.Column("store_id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("source_order_id", TEXT, primary_key=True),
        sa.Column("source_fulfillment_id", TEXT, primary_key=True),
        sa.Column("corso_id", TEXT),
        sa.Column("held_hash", TEXT),
        sa.Column("held_cancelled", TEXT, nullable=False),
        sa.Column("held_at", TEXT),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("payload_hash", TEXT, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("batch", TEXT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_sent_at", TEXT),
        sa.Column("status", sa.Integer),
        sa.Column("reason", TEXT),
        sa.Column("updated_at", TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("entries_by_state", "entries", ["store_id", "state"])
    op.create_table(
        "attempts",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("store_id", NUMBER, nullable=False),
        sa.Column("source_order_id", TEXT, nullable=False),
        sa.Column("source_fulfillment_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("payload_hash", TEXT, nullable=False),
        sa.Column("batch", TEXT, nullable=False),
        sa.Column("started_at", TEXT, nullable=False),
        sa.Column("ended_at", TEXT),
        sa.Column("ended_as", TEXT),
        sa.Column("status", sa.Integer),
        sa.Column("reason", TEXT),
    )
    op.create_index("attempts_by_entry", "attempts", ["store_id", "source_order_id", "source_fulfillment_id"])
