"""The master: one process, its parts as greenlets."""
