"""Inspection: what some export files are, before anything is set up, and what would come of loading them.

`inspecting` joins the steps: `paths` (which files), `looking` (one file by itself), `fitting` (which profile),
`sources` (what of Corso's columns the files fill), `shapes` and `value_forms` (how values are written), `trial` (validation, tried), `proposals` (which fallbacks would help),
`loader_draft` and `profile_draft` (files to go on with); `facts` is what all of them find out. Nothing is guessed: what
the files do not say is said to be missing, and a proposal is never on by itself. No value of a column leaves this
package, only its shape: the columns hold personal data.
"""
