"""How it runs: definitions, jobs, schedules, sensors for Dagster, and the corso-loader command. Nobody imports this."""

import os

_ALLOCATOR = "_RJEM_MALLOC_CONF"
"""The variable by which polars' allocator (jemalloc) is set while polars is imported: after this package, always."""
ARENAS = f"narenas:{max(1, (os.cpu_count() or 1) // 2)}"
"""Half as many arenas as cores, where jemalloc has four times as many: threads then find each other's freed memory again.
Preparing takes less memory so, and a little less time (docs/performance.md)."""

if "narenas" not in (_settings := os.environ.get(_ALLOCATOR, "")):
    os.environ[_ALLOCATOR] = f"{_settings},{ARENAS}".lstrip(",")
