"""Importing greensalt does nothing: no thread, socket, log handler, event loop or patch."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import greensalt

PROBE = """
import json, logging, os, signal, sys, threading
before = set(os.listdir("/proc/self/fd"))
handlers = [signal.getsignal(number) for number in signal.valid_signals()]
for name in json.load(sys.stdin):
    __import__(name)
hub = sys.modules.get("gevent._hub_local")
monkey = sys.modules.get("gevent.monkey")
json.dump({
    "threads": threading.active_count() - 1,
    "files": sorted(set(os.listdir("/proc/self/fd")) - before),
    "log handlers": [str(handler) for handler in logging.getLogger().handlers],
    "signal handlers": handlers != [signal.getsignal(n) for n in signal.valid_signals()],
    "hub": bool(hub and hub.get_hub_if_exists()),
    "patched": sorted(monkey.saved) if monkey else [],
}, sys.stdout)
"""


def every_module() -> list[str]:
    found = pkgutil.walk_packages(greensalt.__path__, "greensalt.")
    return [module.name for module in found]


def test_importing_every_module_changes_nothing_in_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        input=json.dumps(every_module()),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "threads": 0,
        "files": [],
        "log handlers": [],
        "signal handlers": False,
        "hub": False,
        "patched": [],
    }
