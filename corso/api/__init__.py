"""Everything that speaks HTTP to Corso; the only place that imports httpx.

Here: requests, tokens, the limiter, the listing's pages, and the translation of what can go wrong into
`corso.errors`. Not here: what to send and what to do after an error (`corso.delivery`), what the records mean
(`corso.report`), files (`corso.extract`).

Read `client` first. It asks `limiter` (an asynchronous shell over `pacer`, a pure state machine) before every
request, `auth` for the token, `transport` (over `connection`) to carry it, and `translate` when it ends badly.
"""
