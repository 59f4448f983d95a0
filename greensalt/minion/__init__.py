"""The minion: one process, every job in a greenlet."""
