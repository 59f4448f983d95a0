"""The master's file server: what minions read from it, and what they push to it."""
