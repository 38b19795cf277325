"""What the analyst reads: Corso's records held against the source, and the files that say so.

`read_back` makes a frame of what the API answered, `compare` finds the differences (`tolerances` says what does
not count as one, `differences` looks field by field, `causes` says why, `findings` orders and names them, `bridge` follows the money), `summary`
and `verdict` put them into numbers and one sentence, `results`, `html` and `workbook` write the files.

Asking the API does not belong here (`corso.api`), nor what was sent (`corso.delivery`): both come in as frames.
"""
