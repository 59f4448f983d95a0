"""Jobs that a minion begins by itself (docs/schedule.md)."""
