"""What dagster.yaml says of runs: how many at once, which wait for each other, and what becomes of dead ones.

Written once by `pipelines.home`, into a file that is the operator's to change. Keys of Dagster 1.13.27:
https://docs.dagster.io/deployment/oss/dagster-yaml
"""

RUN_SETTINGS = """\
# Retries live in the loader, whose ledger knows what was sent: Dagster retries nothing.
run_retries: {enabled: false}
# A run that does not start, or does not end after it was cancelled, is given up; places in a pool that a killed run held are
# free again after a minute. What is in flight gets 30 s to end after a cancellation.
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 120
  max_resume_run_attempts: 0
  poll_interval_seconds: 60
  free_slots_after_run_end_seconds: 60
# Of one store one run goes at a time, and of one set of credentials, too: their quota is one.
concurrency:
  pools: {granularity: run}
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - {key: corso-loader/store, value: {applyLimitPerUniqueValue: true}, limit: 1}
      - {key: corso-loader/credentials, value: {applyLimitPerUniqueValue: true}, limit: 1}
# What Dagster's own code says of every table that it reads and writes is a sixth of all events, each a commit.
python_logs: {python_log_level: INFO}
# The sensors look every minute: what they saw is kept for a while.
retention:
  sensor: {purge_after_days: {skipped: 1, success: 30, failure: 30}}
"""

FILES_KEPT_OPEN = """\
# Dagster's own SQLite files, kept open (pipelines/sqlite_history.py).
storage:
  custom:
    module: pipelines.sqlite_history
    class: SqliteHistory
    config: {base_dir: {env: DAGSTER_HOME}}
"""
