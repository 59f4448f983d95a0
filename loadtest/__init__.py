"""The load test: locust drives a live master and a fleet of emulated minions (docs/loadtest.md)."""
