"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer

from upsampler_bench.commands import (
    baseline,
    capabilities,
    capacity,
    compare,
    doctor,
    export,
    paper,
    profile,
    recommend,
    report,
    run,
)
from upsampler_bench.commands import list as listing
from upsampler_bench.commands.console import fitted
from upsampler_bench.commands.exit_codes import FINE, INTERRUPTED, MISUSE
from upsampler_bench.errors import BenchError

app = typer.Typer(
    name="upsampler-bench",
    help="Measure feature upsamplers for PyTorch and compare them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    run.run, profile.profile, capabilities.capabilities, paper.paper, report.report, compare.compare,
    recommend.recommend, capacity.capacity, export.export, doctor.doctor,
):  # fmt: skip
    app.command()(command)
app.command("list")(listing.list_operators)
app.add_typer(baseline.app, name="baseline")


def main() -> NoReturn:
    """Runs the command line; the one place where the process is ended."""
    import warnings

    warnings.filterwarnings("ignore", message=".*NumPy.*", category=UserWarning)
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), _as_interrupt)
    try:
        app()
    except BenchError as problem:
        _fail(str(problem))
    except OSError as problem:
        _fail(f"cannot write: {problem.strerror or problem}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as problem:
        if "upsamplers" not in type(problem).__module__:
            raise
        _fail(str(problem))
    sys.exit(FINE)


def _fail(text: str) -> NoReturn:
    print(fitted(f"error: {text}"), file=sys.stderr)
    sys.exit(MISUSE)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
