"""Run by a stock Salt's own interpreter: runs salt-run several times, without starting anew.

Reads a JSON list of lists of arguments, writes the list of [exit code, stdout] of each.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

import salt.cli.run  # noqa: E402
import salt.client  # noqa: E402
import salt.minion  # noqa: E402
import salt.runner  # noqa: E402


def run(words: list[str]) -> tuple[int, str]:
    """One salt-run in a process of its own, which has all modules already."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as shown:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(shown.fileno(), 1)
                sys.argv = ["salt-run", *words]
                salt.cli.run.SaltRun().run()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        shown.seek(0)
        return os.waitstatus_to_exitcode(status), shown.read()


def main() -> None:
    """Run all, one after the other."""
    asked = json.load(sys.stdin)
    json.dump([run(words) for words in asked], sys.stdout)


if __name__ == "__main__":
    main()
