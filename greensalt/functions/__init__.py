"""Functions found by name and called with a job's arguments: what both daemons do.

A minion has execution modules, a master has runners and wheels: the same loader finds them.
"""
