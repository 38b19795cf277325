"""From export files to operations: reading, profiles, conversion, validation, payloads and the plan.

Frames and files belong here. What an order looks like is declared in `schemas`; whether an operation may be
sent is the ledger's business in `corso.delivery`.
"""
