"""Partitions: one batch is one partition; batches are added as they arrive.

https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import dagster as dg

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
"""The batches of the store that the code location serves."""
