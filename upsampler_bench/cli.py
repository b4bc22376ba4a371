"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from upsampler_bench.commands import baseline, choose, compare, export, measure, work
from upsampler_bench.commands.options import FORMATS, Formats, Plugin
from upsampler_bench.commands.work import INTERRUPTED
from upsampler_bench.errors import BenchError

app = typer.Typer(
    name="upsampler-bench",
    help="Measures feature upsamplers and draws the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
OK, MISUSE = 0, 2

app.command()(measure.run)
app.command()(measure.capabilities)
app.command()(measure.paper)
app.command()(compare.compare)
app.add_typer(baseline.app, name="baseline")
app.command()(export.export)
app.command()(choose.recommend)
app.command()(choose.capacity)


@app.command("list")
def list_operators(
    channels: Annotated[int, typer.Option(help="C, for the parameters.", min=1)] = 256,
    scale: Annotated[int, typer.Option(help="s, for the parameters.", min=1)] = 2,
    plugin: Plugin = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
) -> None:
    """List the operators: paper, what they need, scales, parameters."""
    from upsampler_bench.commands import catalogue
    from upsampler_bench.runner import operators

    operators.load(plugin or ())
    if markdown:
        print(catalogue.markdown(channels, scale))
    else:
        work.console().print(catalogue.table(channels, scale))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="results.json files, or folders that hold one.")],
    formats: Formats = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; beside the first by default.")] = None,
) -> None:
    """Redraw the report of stored runs, several side by side; needs neither torch nor the device."""
    from upsampler_bench import storage

    work.check_formats(formats)
    found = [storage.load(one) for one in results]
    beside = results[0] if results[0].is_dir() else results[0].parent
    work.tell(found, output_dir or beside, formats or FORMATS)


@app.command()
def doctor(device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:i.")] = "auto") -> None:
    """Say whether this machine is fit to measure on, and what to do about it."""
    from upsampler_bench.device import doctor as examination

    console = work.console()
    for finding in examination.examine(device):
        mark, style = ("!", "yellow") if finding.advice else (" ", None)
        line = f"{mark} {finding.what + ':':18s}{finding.found}"
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=not console.is_terminal)
        if finding.advice:
            console.print(f"  {'':18s}{finding.advice}", markup=False, highlight=False)


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
        _complain(str(problem))
    except OSError as problem:
        _complain(f"cannot write: {problem.strerror or problem}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as problem:
        if "upsamplers" not in type(problem).__module__:
            raise
        _complain(str(problem))
    sys.exit(OK)


def _complain(text: str) -> NoReturn:
    print(work.fitted(f"error: {text}"), file=sys.stderr)
    sys.exit(MISUSE)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
