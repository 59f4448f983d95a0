"""Wheel functions: how keys, configuration and files of the master are managed from outside."""
