"""Partitions, and the kinds of tables: one batch is one partition; batches are added as they arrive.

https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import dagster as dg

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
"""The batches that the code location serves: of one store by their names, of many as `<store>/<batch>`.

One dimension, not two: of two dynamic ones every store would have every other's batches."""

STORES = dg.DynamicPartitionsDefinition(name="stores")
"""The stores that the code location serves."""

FRAME, FROM_API = {"polars", "parquet"}, {"http", "parquet"}
"""What a table is made with, as the web UI shows it: computed from tables, or got by talking to Corso."""
