"""A stand-in Corso API over a real socket: a witness, written from the API's description alone.

What belongs here: a server that enforces every documented rule, refuses with reasons, remembers what it was
given, and can be told to behave in each way that the description leaves open. What does not: anything of the
loader. This package imports nothing of `schemas`, `corso`, `assets` or `pipelines`, and only the command line
and the tests import it: a mistake that both sides shared would prove nothing.

Its rooms, from the outside in: `arguments`, `limit_arguments`, `fault_arguments` and `argument_values` (the
command's options), `options` (what they choose), `server` and `connections` (sockets, and breaking them), `app` (what a request
passes, in which order), `passage` (token, limit, latency, counts), `faults` and `disturbance` (what goes wrong
on purpose: the draw, the deed), `points` (where a test can step in), `token_route` and `order_routes` (the
endpoints), `rules` and `readers` (what a body must hold), `records` (what is kept and answered), `strangeness`
(answers that are right but not what was sent), `listing` and `filters` (pages, cursors), `store` (SQLite),
`tokens`, `quota` with `limits`, `foreign` and `quota_headers` (what may pass, who else uses it, how it is told),
`exact_json` (numbers that keep their text), `answers` (bodies in, refusals out).
Everything that Corso does not document is marked "assumed" where it is decided.
"""
