"""What data looks like: the canonical tables, the listing, the findings, the wire types, the API's contract.

No I/O and no behaviour beyond a rule about a value belongs here. Reading and converting live in
`corso.extract`, talking to the API in `corso.api`.
"""
