"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from upsampler_bench.commands import (
    baseline,
    capabilities,
    capacity,
    collect,
    compare,
    doctor,
    export,
    merge,
    paper,
    profile,
    quality,
    recommend,
    report,
    run,
    status,
    submit,
)
from upsampler_bench.commands import list as listing
from upsampler_bench.commands.console import fitted
from upsampler_bench.commands.exit_codes import FINE, INTERNAL, INTERRUPTED, MISUSE
from upsampler_bench.errors import BenchError
from upsampler_bench.text import cleaned


class Commands(TyperGroup):
    """Ends what typer would end without a word, or with 1, which here means that a check failed."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            result = super().invoke(ctx)
            if sys.stdout:  # which may have been closed before
                sys.stdout.flush()
        except (KeyboardInterrupt, SystemExit, EOFError, OSError) as problem:
            sys.exit(_exit_code(problem))
        return result


app = typer.Typer(
    cls=Commands,
    name="upsampler-bench",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Measure feature upsamplers for PyTorch and compare them."""
    if version:
        print(f"upsampler-bench {metadata.version('upsampler-bench')}")
        raise typer.Exit(FINE)


for command in (
    run.run, profile.profile, capabilities.capabilities, quality.quality, paper.paper, report.report,
    merge.merge, status.status, collect.collect, compare.compare, recommend.recommend, capacity.capacity, export.export,
    doctor.doctor,
):  # fmt: skip
    app.command()(command)
app.command(context_settings={"allow_extra_args": True})(submit.submit)
app.command("list")(listing.list_operators)
app.add_typer(baseline.app, name="baseline")


def main() -> NoReturn:
    """Runs the command line, and ends the process with its exit code."""
    import warnings

    if any(action == "error" for action, *_ in warnings.filters):  # PYTHONWARNINGS: other packages warn
        warnings.simplefilter("default")
    warnings.filterwarnings("ignore", message=".*NumPy.*", category=UserWarning)
    # A notebook's backend, or one that does not exist, would end the import of matplotlib.
    os.environ["MPLBACKEND"] = "agg"
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")  # letters that the encoding lacks
    for ending in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, ending, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _as_interrupt)
    try:
        app()
    except Exception as problem:
        sys.exit(_exit_code(problem))
    sys.exit(FINE)


def _exit_code(problem: BaseException) -> int:
    """Prints why a command ended early, and returns its exit code: never one that a result has."""
    if isinstance(problem, KeyboardInterrupt):
        print(f"{' '.join(['Interrupted', *map(str, problem.args)])}.", file=sys.stderr)
        return INTERRUPTED
    # `| head`: what is still in the buffer has no reader. Of such an error while it prints help, click makes another.
    if isinstance(problem, BrokenPipeError) or isinstance(problem.__context__, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return MISUSE
    if isinstance(problem, SystemExit):  # no command of ours does that
        text = "an operator or a plug-in ended the command by sys.exit()"
    elif isinstance(problem, OSError) and not isinstance(problem, BenchError):
        text = ": ".join(str(part) for part in (problem.filename, problem.strerror or problem) if part)
    elif isinstance(problem, ModuleNotFoundError) and not (problem.name or "").startswith("upsampler"):
        text = f"the package {problem.name} is not installed: pip install {problem.name}"
    elif isinstance(problem, BenchError) or "upsamplers" in type(problem).__module__:
        text = str(problem)
    else:
        traceback.print_exception(problem)
        print("This is a bug in upsampler-bench; please report it.", file=sys.stderr)
        return INTERNAL
    print(fitted(f"error: {cleaned(text)}"), file=sys.stderr)
    return MISUSE


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
