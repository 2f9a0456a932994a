"""Play worlds and print the rates of wrong conclusions: `make stories`.

PYTHONPATH=tests python -m worlds --worlds 1000 --seed 0
PYTHONPATH=tests python -m worlds --seed 17 --show

The exit code is 1 if a rate is not what it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from worlds.report import Report, results, shown


def main() -> int:
    """Read the arguments, play, print."""
    parser = argparse.ArgumentParser(prog="worlds", description="The rates of wrong conclusions over seeded days.")
    parser.add_argument("--worlds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (default 0)")
    parser.add_argument("--show", action="store_true", help="print that one alone, with all that was made of it")
    parser.add_argument("--json", action="store_true", help="print the rates as JSON")
    parser.add_argument("--processes", type=int, default=2, help="at a time (default 2)")
    args = parser.parse_args()
    if args.show:
        sys.stdout.writelines(f"{line}\n" for line in shown(args.seed))
        return 0
    report, began = Report(), time.monotonic()
    for number, found in enumerate(results(range(args.seed, args.seed + args.worlds), args.processes), 1):
        report.add(found)
        if number % 100 == 0 or number == args.worlds:
            sys.stderr.write(f"\r{number} of {args.worlds} worlds, {time.monotonic() - began:.0f} s")
            sys.stderr.flush()
    sys.stderr.write("\n")
    if args.json:
        json.dump(report.told(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.table())
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
