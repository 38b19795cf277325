"""What one would write instead of the loader's preparation, each as a careful user of that tool would write it.

What belongs here: one script a tool, which is run by the Python of an environment of the tool's own and imports nothing
of the project; the models that two of them share; `environments`, which makes the environments out of the `.txt` files
beside the scripts. None of the tools is a dependency. All scripts are called alike, `SCRIPT EXPORT_FOLDER OUT_FOLDER`,
and do the same work: canonical CSV in; out come payloads of accepted orders and of their fulfillments as JSON lines, and
a quarantine with every row that is not loaded and why. The unit is the order, as it is in the loader.

Each is one process (dlt has two workers to normalize, Singer is a tap and a target) and keeps what has to be joined in
memory. Checked are types, required fields, the sum of the money (as Decimal), ISO 3166 and ISO 4217 codes, E.164, times with an offset, a
customer who can be reached, orders without lines, rows without an order, ids that stand in several rows. What the loader
does beyond that they leave out: other spellings of places, phones and times, repetitions, fallbacks, files that are not
in order, money by month, hashes, the comparison with what was sent before.
"""
