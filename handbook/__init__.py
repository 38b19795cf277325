"""The handbook: what MkDocs needs beside docs/ to build the site, and the pages that are made from the code.

Here belongs: turning declarations (settings, the command's verbs, the API's contract, the import rules) into text. What a
person has to explain stands in docs/ as Markdown. Nothing of the product imports this; `scripts/docs` builds the site.
"""
