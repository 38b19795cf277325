"""reconciliation.html: one file that opens without a network, and whose verdict and pictures need no script.

`writing` lays everything out for the template. `bars`, `waterfall` and `months` reckon the pictures, which the template draws;
`embedded` writes the findings as columns of JSON, which the page's script shows, filters and sorts; `opened` puts an
order's export, what was sent of it and Corso's record side by side.

What the report says is decided outside (`corso.report.verdict`, `bridge`, `tables`); asking the batch's tables does
not belong here either: they come in as frames.
"""
