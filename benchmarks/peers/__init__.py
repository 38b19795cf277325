"""Other senders, each set as a careful engineer would set it for this work, to be measured beside the loader.

What belongs here: one script a tool, which is run by the Python of an environment of the tool's own and imports
nothing of the project, and `environments`, which makes those. None of the tools is a dependency. All scripts are
called alike: `SENDER ORDERS.jsonl URL REQUESTS_PER_SECOND FOLDER`, with an access token in CORSO_TOKEN. A line of
the file is an order: `source_order_id` and `payload`, which is the body to send, as text. The folder is the tool's.

The rate is told by hand, because none of them reads it from the answers; they make twelve attempts, obey Retry-After,
and send on eight lanes side by side where they have lanes, so that latency does not decide.
"""
