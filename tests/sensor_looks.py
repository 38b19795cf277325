"""The sensor as tests look through it."""

from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from assets.resources import LoaderFile
from assets.run_tags import PARTITION_TAG
from pipelines.sensors import build_new_batches

SENSOR = build_new_batches()
FILES = {"orders": "{batch}/orders.csv", "line_items": "{batch}/lines.csv"}
"""The exports of a store whose batches are folders."""


def drop(folder: Path, *more: str, text: str = "x") -> None:
    """Write a batch's export files, and the marker after them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("orders.csv", "lines.csv", *more):
        (folder / name).write_text(text, encoding="utf-8")


class Night:
    """The sensor, looked through again and again, and the runs that it asked for."""

    def __init__(self, instance: dg.DagsterInstance, path: Path | str) -> None:
        self.instance = instance
        self.loader = LoaderFile(path=str(path))
        self.cursor: str | None = None
        self.result: Any = None
        self.run_keys: set[str] = set()
        self.runs_begin = True

    def look(self) -> list[str]:
        """Look once, do what Dagster does with the answer, and return the partitions whose runs were started."""
        context = dg.build_sensor_context(
            instance=self.instance, resources={"loader": self.loader}, cursor=self.cursor
        )
        self.result = SENSOR(context)
        self.cursor = self.result.cursor
        for request in self.result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for request in self.result.run_requests or []:
            assert request.run_key not in self.run_keys, "Dagster would take it for one that it has started"
            self.run_keys.add(request.run_key)
            tags = {**request.tags, PARTITION_TAG: request.partition_key, "dagster/run_key": request.run_key}
            run = create_run_for_test(
                self.instance, job_name="load_batch", tags=tags, status=dg.DagsterRunStatus.STARTING
            )
            if self.runs_begin:
                begun = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="load_batch")
                self.instance.report_dagster_event(begun, run_id=run.run_id)
        return [request.partition_key for request in self.result.run_requests or []]

    def end(self, key: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS, **tags: str) -> None:
        """End the run of a partition."""
        (run,) = self.instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: key}), limit=1)
        self.instance.add_run_tags(run.run_id, tags)
        kind = "PIPELINE_SUCCESS" if status is dg.DagsterRunStatus.SUCCESS else "PIPELINE_FAILURE"
        event = dg.DagsterEvent(event_type_value=kind, job_name="load_batch")
        self.instance.report_dagster_event(event, run_id=run.run_id)

    @property
    def said(self) -> str:
        """Why nothing was started."""
        return str(self.result.skip_reason.skip_message)
