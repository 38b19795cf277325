"""What alembic runs for every command: the connection is `road`'s, and so is the transaction."""

from alembic import context

from corso.delivery.migrations.road import VERSION_TABLE
from corso.delivery.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    # SQLite: a table is rebuilt where it cannot be altered.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
