"""What a serializer costs, measured on this machine and written to docs/serializers.md.

    python -m tools.serializers           record a run (four minutes), then write the page
    python -m tools.serializers --page    write the page again from the recorded run
    python -m tools.serializers --micro   only print size and times, in this process

The record is docs/serializers/run.json, the plots are beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from greensalt.serializers import names
from tools.serializers import micro
from tools.serializers.page import files
from tools.serializers.runs import ROOT, Plan, RunFailed, record

RECORD = "serializers/run.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--page", action="store_true", help="measure nothing")
    what.add_argument("--micro", action="store_true", help="write nothing")
    parser.add_argument("--codec", action="append", help="only these; may be repeated")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where to write (docs/)")
    for name, value in Plan._field_defaults.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, dest=name, type=type(value), default=value, help=f"({value})")
    args = parser.parse_args()
    plan = Plan(**{name: getattr(args, name) for name in Plan._fields})
    if args.micro:
        for figures in micro.measure_all(micro.available(args.codec or names()), plan.micro_s):
            print(json.dumps(figures._asdict()))
        return 0
    path = args.docs / RECORD
    if not args.page:
        try:
            measured = record(micro.available(args.codec or names()), plan)
        except RunFailed as error:
            print(f"tools.serializers: {error}", file=sys.stderr)
            return 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measured, indent=0) + "\n")
    for name, text in files(json.loads(path.read_text())).items():
        (args.docs / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
