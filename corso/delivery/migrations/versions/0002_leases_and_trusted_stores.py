"""Version 2: who may write, which stores the ledger knows all about, and when an attempt was last started."""

import sqlalchemy as sa
from alembic import context, op

revision, down_revision = "0002", "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HELD_ORDERS = sa.text("source_fulfillment_id = '' AND held_at IS NOT NULL")

# Recovery asks it of what is in doubt; of the rest nobody does.
LAST_STARTED = """
UPDATE entries SET last_started_at = (
    SELECT max(started_at) FROM attempts
    WHERE attempts.store_id = entries.store_id AND attempts.source_order_id = entries.source_order_id
    AND attempts.source_fulfillment_id = entries.source_fulfillment_id
) WHERE state IN ('sending', 'unknown')
"""
TRUSTED = "INSERT INTO trusted_stores (store_id, trusted_at) SELECT DISTINCT store_id, :now FROM entries"


def upgrade() -> None:
    """Add them. A store that the ledger has entries of was loaded with it from the beginning, and is trusted."""
    op.add_column("entries", sa.Column("last_started_at", TEXT))
    op.create_index(
        "orders_by_held_at",
        "entries",
        ["store_id", "held_at"],
        sqlite_where=HELD_ORDERS,
        postgresql_where=HELD_ORDERS,
    )
    op.create_table(
        "leases",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("taken_at", TEXT, nullable=False),
        sa.Column("renewed_at", TEXT, nullable=False),
        sa.Column("released", sa.Boolean, nullable=False),
        sa.Column("commits", NUMBER, nullable=False),
        sa.Column("lost_commits", NUMBER, nullable=False),
    )
    op.create_table(
        "trusted_stores",
        sa.Column("store_id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("trusted_at", TEXT, nullable=False),
    )
    op.execute(LAST_STARTED)
    op.execute(sa.text(TRUSTED).bindparams(now=context.config.attributes["now"]))
