"""What each operator costs beside the least that it could cost: `make costs` writes the table of docs/operators.md.

    python tests/benchmarks/bench_costs.py                           measures (256x120x120, x2, float32, one CPU thread)
    python tests/benchmarks/bench_costs.py --from reports/amd-epyc   draws the table of a stored run, without measuring

The table stands between two markers of the page; the rest of the page is left as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import upsampler_bench
from upsampler_bench import report
from upsampler_bench.report.numbers import exact
from upsampler_bench.report.parts import NOTHING, Cell, Table
from upsampler_bench.results import Run
from upsampler_bench.storage import write_whole

PAGE = Path("docs/operators.md")
BEGIN, END = "<!-- costs:begin -->", "<!-- costs:end -->"
METRICS = ("latency", "floor", "memory", "train_latency", "train_floor", "train_memory")
FORWARD, BOTH = "floor", "train_floor"
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
HEAD = (
    "operator",
    "least MB",
    "multiply-adds (G)",
    "floor (ms)",
    "measured (ms)",
    "× floor",
    "× bilinear",
    "forward + backward: floor (ms)",
    "measured (ms)",
    "× floor",
    "peak, forward (× output)",
    "peak, forward + backward (× output)",
)
Floors = Mapping[tuple[str, str], Mapping[str, float | str]]
SECTION = """\
## What each costs beside the least it could cost

The floor of an operator is the longer of two times: for the bytes that any implementation must move, at the rate of a
large copy, and for the multiply-adds that it must do, at the rate of large products; both rates are measured in the
process that times the operators. The forward reads every input (the guide included) and every parameter once and
writes the output once. Forward and backward also read the output's gradient, in an operator with parameters read the
inputs again, and write the gradients of all inputs and parameters; products count three times, those of fixed
interpolation twice. Peaks are bytes of live tensors beyond inputs and parameters, as multiples of the output's.

"""


def section(run: Run, command: str) -> str:
    """The first condition of a run as Markdown: the table, and where and how it came about."""
    table, facts = report.from_run(run).tables[0], floors(run)
    rows = [HEAD, (":--", *("--:" for _ in HEAD[1:]))]
    rows += [tuple(cells(table, row.name, dict(_named(table, row.cells)), facts)) for row in table.rows]
    drawn = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{drawn}\n\n{' '.join(_conditions(run, table, facts))} Command: `{command}`."


def floors(run: Run) -> Floors:
    """How each floor of the first condition came about, by operator and metric."""
    first = run.measurements[0].case.condition
    found = ((one.case, reading) for one, reading in run.readings() if one.case.condition == first)
    return {(case.upsampler, reading.metric): reading.facts for case, reading in found}


def cells(table: Table, name: str, found: Mapping[str, Cell], facts: Floors) -> Iterator[str]:
    """One operator's row."""
    forward, both = facts.get((name, FORWARD), {}), facts.get((name, BOTH), {})
    yield f"`{name}`"
    yield _amount(forward, "bytes", 1e6)
    yield _amount(forward, "macs", 1e9)
    yield f"{_text(found, FORWARD)}{_binding(forward)}"
    yield from (_text(found, one) for one in ("latency", "latency_over_floor", "latency_ratio"))
    yield f"{_text(found, BOTH)}{_binding(both)}"
    yield from (_text(found, one) for one in ("train_latency", "train_latency_over_train_floor"))
    yield from (_outputs(found.get(one, Cell()), table) for one in ("inference_memory", "train_memory"))


def page_with(page: str, drawn: str) -> str:
    """The page with the table between its markers; a page without them gets a section at its end."""
    if BEGIN not in page:
        page = f"{page.rstrip() or '# The operators'}\n\n{SECTION}{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{drawn}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str]) -> int:
    """Measures or loads, writes the page and prints the table."""
    parser = argparse.ArgumentParser(description="Writes the table of costs into docs/operators.md.")
    parser.add_argument("--from", dest="stored", metavar="RUN", help="a results.json, or a folder that holds one")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    command = f'make costs ARGS="{" ".join(arguments)}"' if arguments else "make costs"
    if given.stored:
        run = upsampler_bench.load(given.stored)
    else:
        run = upsampler_bench.run(device=given.device, threads=1, metrics=METRICS, progress=True)
    drawn = section(run, command)
    page = given.page.read_text(encoding="utf-8") if given.page.exists() else ""
    write_whole(given.page, page_with(page, drawn).encode())
    print(drawn)
    return 0


def _named(table: Table, found: tuple[Cell, ...]) -> Iterator[tuple[str, Cell]]:
    return zip((column.name for column in table.columns), found, strict=True)


def _text(found: Mapping[str, Cell], name: str) -> str:
    return found.get(name, Cell()).text


def _amount(facts: Mapping[str, float | str], name: str, unit: float) -> str:
    return exact(float(facts[name]) / unit) if name in facts else NOTHING


def _binding(facts: Mapping[str, float | str]) -> str:
    return f" ({facts['binds']})" if "binds" in facts else ""


def _outputs(cell: Cell, table: Table) -> str:
    where = table.condition
    elements = int(where["scale"]) ** 2
    for side in ("batch", "channels", "height", "width"):
        elements *= int(where[side])
    output = elements * BYTES[str(where["dtype"])] / 2**20
    return NOTHING if cell.value is None else f"{cell.value / output:.2f}"


def _conditions(run: Run, table: Table, facts: Floors) -> Iterator[str]:
    yield f"{run.environment.device_name}, {table.title}, torch {run.environment.versions.get('torch', 'unknown')}."
    for metric, what in ((FORWARD, "forward"), (BOTH, "forward + backward")):
        one = next((found for (_, name), found in facts.items() if name == metric), None)
        if one:
            copying, multiplying = float(one["copying"]) / 1e9, float(one["multiplying"]) / 1e9
            yield f"Rates, {what}: copy {copying:.1f} GB/s (read + written), {multiplying:.0f} G multiply-adds/s."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
