"""The protocol, pure: bytes on one side, typed messages on the other.

No socket, clock, file or greenlet is used in this package, so that both daemons, the client and
the tests can share it. docs/protocol.md is the same thing in words; "Spec N" means its section N.
"""
