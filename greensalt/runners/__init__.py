"""Runners: functions that the master runs itself, plain public functions by module.

A module that says `GREEN = True` promises not to block the master's hub.
"""
