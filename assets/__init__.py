"""The Dagster assets: what exists after each stage of a batch, the checks on it, and the classes of resources.

An asset unpacks its inputs, calls `corso.stages` and returns metadata: counts, totals, links, never rows, which
hold personal data and would stay in the event log for ever. Jobs, schedules, sensors and the wiring of resources
live in `pipelines`.
"""
