"""Sending: the server that does nothing, and the loops that `bench_sending` holds the upload against.

The loops import httpx and the standard library alone: `installed` runs in an environment that holds nothing else.
"""
