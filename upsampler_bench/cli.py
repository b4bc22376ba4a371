"""The command line: list, run, capabilities, report, doctor. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from upsampler_bench.errors import BenchError, ResultsError

if TYPE_CHECKING:
    from rich.console import Console

    from upsampler_bench.results import Run
    from upsampler_bench.session import Session

app = typer.Typer(
    name="upsampler-bench",
    help="Measures feature upsamplers and draws the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
TEXTS = ("csv", "json", "markdown", "latex")
FORMATS = (*TEXTS, "png", "svg")
# Options of a command that are no keys of a plan.
OWN = ("plan", "output_dir", "formats", "resume", "strict")
OK, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

Upsampler = Annotated[list[str] | None, typer.Option("--upsampler", "-u", help="A name, or a shell wildcard.")]
Shape = Annotated[list[str] | None, typer.Option(help="CxHxW of the low-resolution feature.", metavar="CxHxW")]
Plugin = Annotated[list[str] | None, typer.Option(help="A module or .py file that registers operators.")]
Formats = Annotated[list[str] | None, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}.")]
OutputDir = Annotated[Path | None, typer.Option(help="Where to write; reports/<device> by default.")]


@app.command("list")
def list_operators(
    channels: Annotated[int, typer.Option(help="C, for the parameters.", min=1)] = 256,
    scale: Annotated[int, typer.Option(help="s, for the parameters.", min=1)] = 2,
    plugin: Plugin = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
) -> None:
    """List the operators: paper, parameters, guide, scales."""
    from upsampler_bench import catalogue, operators

    operators.load(plugin or ())
    if markdown:
        print(catalogue.markdown(channels, scale))
    else:
        _console().print(catalogue.table(channels, scale))


@app.command()
def run(
    plan: Annotated[str, typer.Option(help="A plan by name (paper, smoke, capabilities) or a .toml file.")] = "paper",
    upsampler: Upsampler = None,
    shape: Shape = None,
    scale: Annotated[list[int] | None, typer.Option(help="s.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="B.")] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32, float16, bfloat16 or float64.")] = None,
    layout: Annotated[list[str] | None, typer.Option(help="contiguous or channels_last.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help="inference, train or probe (what works).")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:i.")] = None,
    metrics: Annotated[list[str] | None, typer.Option(help="Only these metrics.")] = None,
    baseline: Annotated[str | None, typer.Option(help="What ratios are relative to.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads, 1 by default; 0: all.")] = None,
    compile_: Annotated[bool | None, typer.Option("--compile", help="Measure under torch.compile.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of inputs, weights and order.")] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds of timed calls in all; 0: no limit.")] = None,
    cap: Annotated[float | None, typer.Option(help="Seconds of timed calls an operator.")] = None,
    precision: Annotated[float | None, typer.Option(help="Interval to stop at: 0.01 is ±1 %.")] = None,
    malloc: Annotated[str | None, typer.Option(help="keep or default (CPU).")] = None,
    cache: Annotated[str | None, typer.Option(help="cold or warm (CUDA).")] = None,
    cuda_graph: Annotated[bool | None, typer.Option("--cuda-graph", help="Time a graph's replay.")] = None,
    step_limit: Annotated[float | None, typer.Option(help="Seconds one step may hang.")] = None,
    memory_limit: Annotated[int | None, typer.Option(help="Bytes the process may hold (CPU).")] = None,
    plugin: Plugin = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any operator failed.")] = False,
) -> None:
    """Measure operators, write results.json and the reports, print the table.

    A key on the command line replaces the plan's. Exit codes: 0 fine, 1 an operator failed (--strict), 2 misuse or
    nothing measured, 130 interrupted.
    """
    given = dict(locals())
    flags = {key.rstrip("_"): value for key, value in given.items() if key not in OWN and value is not None}
    found = _perform(plan, flags, output_dir, formats or FORMATS, resume=resume)
    lost = [one for one in found.measurements if one.reason]
    raise typer.Exit(FAILED if strict and lost else OK)


@app.command()
def capabilities(
    upsampler: Upsampler = None,
    shape: Shape = None,
    metrics: Annotated[list[str] | None, typer.Option(help="Only these, e.g. bfloat16 or onnx_export.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:i.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads, 1 by default; 0: all.")] = None,
    step_limit: Annotated[float | None, typer.Option(help="Seconds that one may hang.")] = None,
    plugin: Plugin = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where to write; reports/<device>/capabilities by default.")
    ] = None,
    formats: Formats = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
) -> None:
    """Try what works on each operator (dtypes, layouts, sizes, compilers, ONNX), print the matrix.

    The same as `run --plan capabilities`: a "no" has its reason below the matrix. Exit codes: 0 fine, 2 misuse or
    nothing tried, 130 interrupted.
    """
    given = dict(locals())
    flags = {key: value for key, value in given.items() if key not in OWN and value is not None}
    _perform("capabilities", flags, output_dir, formats or TEXTS, resume=resume)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="A results.json, or a folder that holds one.")],
    formats: Formats = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; beside the results by default.")] = None,
) -> None:
    """Redraw the reports of a stored run; needs neither torch nor the device."""
    from upsampler_bench import storage

    _check_formats(formats)
    found = storage.load(results)
    _write(found, output_dir or (results if results.is_dir() else results.parent), formats or FORMATS)


@app.command()
def doctor(device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:i.")] = "auto") -> None:
    """Say whether this machine is fit to measure on, and what to do about it."""
    from upsampler_bench import doctor as examination

    console = _console()
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
        sys.exit(INTERRUPTED)
    except Exception as problem:
        if "upsamplers" not in type(problem).__module__:
            raise
        _complain(str(problem))
    sys.exit(OK)


def _perform(
    plan_name: str, flags: dict[str, Any], output: Path | None, formats: Sequence[str], *, resume: bool
) -> Run:
    """Measures, writes and prints; an interrupted run is told as far as it got.

    Raises:
        typer.Exit: it was interrupted.
    """
    _check_formats(formats)
    ready = _prepare(plan_name, flags, output, resume=resume)
    found = _measure(ready)
    _write(found, ready.keeper.place(found.environment), formats)
    if found.ended == "interrupted":
        _console(stderr=True).print("Interrupted; the same command with --resume goes on.", highlight=False)
        raise typer.Exit(INTERRUPTED)
    return found


def _prepare(plan_name: str, flags: dict[str, Any], output: Path | None, *, resume: bool) -> Session:
    from upsampler_bench import plan, session

    keys = {key.replace("-", "_"): value for key, value in plan.read(plan_name).items()}
    ready = session.prepare(plan.parse({**keys, **flags}), output, resume=resume)
    expected, most = session.expectation(ready)
    operators = len({case.upsampler for case in ready.cases})
    _console(stderr=True).print(
        f"{len(ready.cases)} cases of {operators} operators on {ready.cases[0].device}: "
        f"about {_minutes(expected)}, at most {_minutes(most)}",
        highlight=False,
    )
    return ready


def _measure(ready: Session) -> Run:
    from upsampler_bench.progress import listener

    with listener(_console(stderr=True), len(ready.cases)) as teller:
        return ready.run(teller)


def _write(found: Run, folder: Path, formats: Sequence[str]) -> None:
    from upsampler_bench import formats as all_formats
    from upsampler_bench import report as reports

    try:
        drawn = reports.from_run(found)
    except (TypeError, ValueError, AttributeError, KeyError) as problem:
        raise ResultsError(f"not a whole stored run: {type(problem).__name__}: {problem}") from problem
    written = all_formats.write(drawn, folder, formats)
    print(all_formats.render("terminal", drawn))
    _console(stderr=True).print(f"Wrote {', '.join(one.name for one in written)} into {folder}", highlight=False)


def _check_formats(formats: Sequence[str] | None) -> None:
    from upsampler_bench import formats as all_formats

    for name in formats or ():
        all_formats.get(name)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def _complain(text: str) -> NoReturn:
    _console(stderr=True).print(f"error: {text}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(MISUSE)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
