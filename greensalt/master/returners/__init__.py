"""Returners: returns and events go on to other systems, without anybody waiting for them.

returner    the interface, and how one is found by its name
webhook     HTTP POST
syslog      the local log, or one across the network
feed        what one is fed with: returns, or events
events      the recorder: events of the bus that returners are to get, into the store
sender      one returner's greenlet: the next ones, tries, dead letters
service     all of them, as the configuration says
"""

from greensalt.master.returners.events import EventRecorder
from greensalt.master.returners.service import Returners

__all__ = ["EventRecorder", "Returners"]
