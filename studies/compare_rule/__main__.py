"""`python -m studies.compare_rule collect` adds jobs to a folder, `score` prints the published tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from studies.compare_rule import collect, data, score
from upsampler_bench.errors import BenchError

parser = argparse.ArgumentParser(prog="python -m studies.compare_rule", description=__doc__)
commands = parser.add_subparsers(dest="command", required=True)
collecting = commands.add_parser("collect", help="Add jobs; Ctrl-C keeps complete jobs, the next call continues.")
collecting.add_argument("--jobs", type=int, default=1, help="How many to add; a job takes some minutes.")
collecting.add_argument("--load", choices=collect.LOADS, default=collect.QUIET, help="quiet, or busy with a neighbour.")
collecting.add_argument("--same", action="store_true", help="All operators, none slowed: false alarms alone.")
scoring = commands.add_parser("score", help="Print the rates of our rule and of others as Markdown.")
for command in (collecting, scoring):
    command.add_argument("--folder", type=Path, default=Path("reports/local/compare-rule"), help="The data.")
arguments = parser.parse_args()

try:
    if arguments.command == "score":
        study = data.read(arguments.folder)
        print(score.tables(study), score.candidates_table(study), sep="\n")
    else:
        count = collect.collect(arguments.folder, arguments.jobs, arguments.load, arguments.same)
        print(f"{count} jobs {arguments.load} in {arguments.folder}", file=sys.stderr)
except BenchError as problem:
    sys.exit(f"error: {problem}")
