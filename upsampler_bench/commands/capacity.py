"""capacity: the largest input, or upsampling factor, that fits in a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.capacity import SCALE, SCALES, SIDE, size_of
from upsampler_bench.case import TORCH, Case
from upsampler_bench.commands.console import WIDTH, console
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.options import Json, Plugin, Timeout, Upsampler
from upsampler_bench.errors import PlanError
from upsampler_bench.units import counted

if TYPE_CHECKING:
    from upsampler_bench.capacity import Capacity

COUNTED = (
    "Counted on backend torch: parameters, inputs (x, and the guide where the operator takes one) and the peak beyond "
    "both, which in training includes all gradients. Not counted: memory that kernels and the allocator take beyond "
    "tensors; leave some room."
)
EXTRAPOLATED = "Large sizes on a CPU are extrapolated from strips of full width; the result may be 1 % too large."


def capacity(
    memory: Annotated[str, typer.Option(help="Memory available, e.g. 24GiB.")],
    upsampler: Upsampler = None,
    channels: Annotated[int, typer.Option(help="Channels of the feature.", min=1)] = 256,
    batch: Annotated[int, typer.Option(help="Batch size.", min=1)] = 1,
    scale: Annotated[int | None, typer.Option(help="Upsampling factor. Default: 2.", min=1)] = None,
    side: Annotated[
        int | None, typer.Option(help="Keep H = W at this, and find the largest upsampling factor.", min=1)
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16 or float64.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:i; a GPU need not be present.")] = "auto",
    confirm: Annotated[bool, typer.Option("--confirm/--no-confirm", help="Confirm by a real step.")] = True,
    plugin: Plugin = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Find the largest input (H = W) whose step fits in a memory.

    With --side the largest factor is found: of 2, 4, 7, 8, 14, 16, 28, 32, 56,
    64, 112 and 128 those that an operator takes. A step is a forward, in
    training with its backward. It is counted without using memory and confirmed
    by a real step: on a GPU at the size found, on a CPU at a size that takes
    about a second.

    Exit codes: 0 fine, 1 nothing fits, 2 misuse.
    """
    from upsampler_bench import capacity as counting
    from upsampler_bench import plan
    from upsampler_bench.recommend import limits
    from upsampler_bench.runner import isolated, operators
    from upsampler_bench.runner.progress import steps

    available, over = limits.memory(memory), SCALE if side else SIDE
    if side and scale:
        raise PlanError(f"--side is {side}: the factor is searched; leave out --scale")
    known = isolated.registered(upsampler or (), plugins=plugin or (), timeout=timeout)
    name, is_present = counting.resolve(device)
    parsed = plan.parse(
        {
            "upsampler": list(upsampler or ["*"]), "baseline": "", "backend": TORCH, "device": device, "dtype": dtype,
            "shape": f"{channels}x{side or 1}x{side or 1}", "batch": batch, "scale": scale or 2,
        }
    )  # fmt: skip
    runnable = [operator.name for operator in known if operator.runs_on(name)]
    cases = plan.cases(parsed, [operator.name for operator in known], name, runnable)
    stderr = console(stderr=True)
    if confirm and not is_present:
        stderr.print(f"{name} is not present: sizes are counted but not confirmed.")
    with steps(stderr, len(cases)) as begin:
        answers = isolated.ask(
            "upsampler_bench.capacity:largest_here", cases, counting.Capacity, lambda reason: reason,
            arguments={"memory": available, "over": over, "confirm": confirm and is_present}, plugins=plugin or (),
            specs=operators.pickled([case.upsampler for case in cases]), timeout=timeout,
            begin=lambda case: begin(f"{case.upsampler}, {case.mode}"),
        )  # fmt: skip
    capacities = [
        counting.Capacity(case, reason=answer) if isinstance(answer, str) else answer
        for case, answer in zip(cases, answers, strict=True)
    ]
    if as_json:
        print(json.dumps([as_data(one, over, available) for one in capacities], indent=1))
    else:
        print(text(capacities, over, available))
    raise typer.Exit(FINE if any(one.need for one in capacities) else FAILED)


def text(capacities: Sequence[Capacity], over: str, memory: int) -> str:
    """One table per condition, at most 80 columns wide."""
    groups: dict[str, list[Capacity]] = {}
    for capacity in capacities:
        groups.setdefault(_condition(capacity.case, over), []).append(capacity)
    return "\n\n\n".join("\n".join(_lines(condition, group, over, memory)) for condition, group in groups.items())


def _condition(case: Case, over: str) -> str:
    sizes = f"H×H, ×{case.scale}" if over == SIDE else f"{case.height}×{case.width}"
    return f"{case.batch}×{case.channels}×{sizes}, {case.dtype}, {case.layout}, {case.device}"


def _lines(condition: str, capacities: Sequence[Capacity], over: str, memory: int) -> Iterator[str]:
    sought = "H = W" if over == SIDE else "factor"
    yield from wrap(f"Largest {sought} that fits in {size(memory)}: {condition}", WIDTH)
    yield ""
    names = dict.fromkeys(one.case.upsampler for one in capacities)
    width = max(len("upsampler"), *map(len, names))
    yield f"{'upsampler':{width}s}  {'inference':>9s}  {'needs':>10s}  {'training':>8s}  {'needs':>10s}"
    cells = {(one.case.upsampler, one.case.mode): _cells(one, over) for one in capacities}
    for name in names:
        forward, train = (cells.get((name, mode), ("", "")) for mode in ("inference", "train"))
        yield f"{name:{width}s}  {forward[0]:>9s}  {forward[1]:>10s}  {train[0]:>8s}  {train[1]:>10s}".rstrip()
    yield ""
    if over == SCALE:
        yield from wrap(f"Factors that are tried: {', '.join(map(str, SCALES))}.", WIDTH)
    yield from wrap(COUNTED, WIDTH)
    if any("extrapolated" in one.method for one in capacities):
        yield from wrap(EXTRAPOLATED, WIDTH)
    yield from _confirmations(capacities, over)
    for capacity in capacities:
        step = capacity.confirmation
        if reason := capacity.reason or (step.reason if step else ""):
            where = f" at {_where(step.case, over)}" if step and not capacity.reason else ""
            label = f"{capacity.case.upsampler}, {capacity.case.mode}{where}"
            yield from wrap(f"{label}: {reason}", WIDTH, subsequent_indent="  ")


def _cells(capacity: Capacity, over: str) -> tuple[str, str]:
    return (_size(capacity.case, over), size(capacity.need.total)) if capacity.need else ("–", "")


def _size(case: Case, over: str) -> str:
    return f"{case.height:,}" if over == SIDE else f"×{case.scale}"


def _where(case: Case, over: str) -> str:
    return f"H = {case.height:,}" if over == SIDE else _size(case, over)


def _confirmations(capacities: Sequence[Capacity], over: str) -> Iterator[str]:
    steps = [one.confirmation for one in capacities if one.confirmation and one.confirmation.measured]
    if not steps:
        return
    if all(step.measured == step.predicted for step in steps):
        cases = sorted((step.case for step in steps), key=lambda case: size_of(case, over))
        span = " to ".join(dict.fromkeys((_where(cases[0], over), _where(cases[-1], over))))
        count = counted(len(steps), "real step")
        yield from wrap(f"Confirmed by {count} at {span}: measured bytes equal the counted.", WIDTH)
        return
    yield "Real steps, measured bytes compared with counted:"
    for step in steps:
        change = (step.measured or 0) / step.predicted - 1
        deviation = f"{change:+.2%}" if change else "equal"
        at = f"{size(step.measured or 0)} at {_where(step.case, over)}"
        yield f"  {step.case.upsampler}, {step.case.mode}: {at}, {deviation}"


def size(count: float) -> str:
    """Bytes in the largest unit that they reach: "24 GiB", "23.99 GiB"."""
    units = (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")
    unit, name = next((one for one in units if count >= one[0]), units[-1])
    return f"{count / unit:,.0f} {name}" if (count / unit).is_integer() else f"{count / unit:.2f} {name}"


def as_data(capacity: Capacity, over: str, memory: int) -> dict[str, object]:
    """In bytes."""
    case, need, step = capacity.case, capacity.need, capacity.confirmation
    confirmed = step and {
        over: size_of(step.case, over),
        "counted": step.predicted,
        "measured": step.measured,
        "reason": step.reason,
    }
    return {
        "upsampler": case.upsampler,
        "mode": case.mode,
        "memory": memory,
        "side": case.height,
        "scale": case.scale,
        over: size_of(case, over) if need else None,
        "condition": _condition(case, over),
        **({"parameters": need.parameters, "inputs": need.inputs, "peak": need.peak} if need else {}),
        "total": need.total if need else None,
        "method": capacity.method,
        "confirmed": confirmed,
        "reason": capacity.reason,
    }
