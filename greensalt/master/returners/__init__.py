"""Returners: what minions return goes on to other systems, without anybody waiting for them.

returner    the interface, and how one is found by its name
webhook     HTTP POST
syslog      the local log, or one across the network
sender      one returner's greenlet: the next returns, tries, dead letters
service     all of them, as the configuration says
"""

from greensalt.master.returners.service import Returners

__all__ = ["Returners"]
