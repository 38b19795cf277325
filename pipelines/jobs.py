"""Jobs: the command's verbs, as selections of assets.

Steps run in one process: each is short against the three seconds that a process of its own would cost, and the
upload is one asyncio loop anyway.
"""

import dagster as dg

_SELECTIONS = {
    "plan_batch": dg.AssetSelection.assets("upload_plan").upstream(),
    "upload_batch": dg.AssetSelection.assets("uploaded_fulfillments").upstream(),
    "reconcile_batch": dg.AssetSelection.assets("corso_orders", "reconciliation", "reconciliation_report"),
    "load_batch": dg.AssetSelection.all(),
}
_DESCRIPTIONS = {
    "plan_batch": "Everything but sending: accepted, quarantined, plan.",
    "upload_batch": "Plan, then send what the plan says.",
    "reconcile_batch": "Read Corso back, compare, write the report.",
    "load_batch": "The whole road: plan, upload, reconcile.",
}

JOBS = {
    name: dg.define_asset_job(
        name, selection, description=_DESCRIPTIONS[name], executor_def=dg.in_process_executor
    )
    for name, selection in _SELECTIONS.items()
}
"""Job name -> job."""
