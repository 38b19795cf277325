"""How the ledger's layout came to be, step by step, by alembic: `versions` has one file a step, `road` walks it.

Imported only where a ledger is older than the program. A step says what the layout was then, in its own words: it uses
nothing of `tables`, which will have changed by the time it is run.
"""
