"""The entry point of `greensalt` and `python -m greensalt`. Nothing is ever monkey-patched."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; the exit code."""
    from greensalt.cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
