"""The shapes in which `exports` writes orders: the canonical tables, and platforms' own files.

What belongs here: functions from a part of drawn orders to the rows of a shape's files, all of them text, in the columns
that the headers of `data/samples` have. Which orders there are is drawn in `export_rows`; `exports` lists the shapes.
"""
