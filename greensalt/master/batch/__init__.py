"""Batches: jobs on few minions at a time, led by the master."""

from greensalt.master.batch.batches import Batches

__all__ = ["Batches"]
