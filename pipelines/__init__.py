"""How it runs: definitions, jobs, schedules, sensors for Dagster, and the corso-loader command. Nobody imports this."""
