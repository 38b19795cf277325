"""The code location as a test's daemon loads it: the usual one, whose sensors look every second, and are on."""

from pipelines.definitions import build_defs

defs = build_defs(look_every_s=1, running=True)
