"""Delivery: the ledger, the sender, and the recovery of what is in doubt.

The promise lives here: an operation is written down before a byte of it leaves, ends in exactly one state, and
is never sent again before it was looked up. No HTTP and no frames: the API comes as a port (`ports.OrderApi`),
operations come as plain values.
"""
