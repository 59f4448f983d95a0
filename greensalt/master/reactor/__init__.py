"""Reactions: what the master does of itself when an event comes.

table       which SLS files an event's tag means
sls         the files: found, and rendered with the event in a native thread
reaction    what the data of a file say: reactions, checked
doing       carries one out: a job, a runner, a wheel function
service     queues, the order of events, workers, figures

Source: docs/reactor.md.
"""

from __future__ import annotations

from greensalt.master.reactor.service import Reactor

__all__ = ["Reactor"]
