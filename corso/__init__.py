"""The engine: export files in, orders in Corso and a reconciliation out. Runs without Dagster.

Four rooms that do not know each other: `extract` (files to operations), `api` (the only place that imports
httpx), `delivery` (ledger, sender, recovery), `report` (comparing and rendering). `corso.stages` joins them.
Orchestration does not belong here; it lives in `assets` and `pipelines`.
"""

import logging

# Nothing is written unless somebody asks for it (`corso.logs`): Python would print warnings that no one handles.
logging.getLogger(__name__).addHandler(logging.NullHandler())
