"""capacity: how large an input fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upsampler_bench.commands.console import console, print_text
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.options import Json, Plugin, Upsampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upsampler_bench.sizes import Capacity


def capacity(
    memory: Annotated[str, typer.Option(help="E.g. 24GiB.")],
    upsampler: Upsampler = None,
    channels: Annotated[int, typer.Option(help="C.", min=1)] = 256,
    batch: Annotated[int, typer.Option(help="B.", min=1)] = 1,
    scale: Annotated[int, typer.Option(help="s.", min=1)] = 2,
    dtype: Annotated[str, typer.Option(help="float32, float16, bfloat16 or float64.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:i; also a GPU that is not here.")] = "auto",
    confirm: Annotated[bool, typer.Option("--confirm/--no-confirm", help="Take real steps too.")] = True,
    stored: Annotated[
        Path | None, typer.Option("--from", help="Estimate from a stored run instead; needs no torch.")
    ] = None,
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Say how large an input fits in a memory: the largest H = W of a forward, and of a training step.

    Counted without memory, operator by operator, and confirmed by real steps: on a GPU at the size found, on a CPU at
    a size that takes about a second. Exit codes: 0 fine, 1 nothing fits, 2 misuse.
    """
    from upsampler_bench.recommend import limits, sizes_told

    room = limits.memory(memory)
    if stored is not None:
        found = _estimated(stored, room, upsampler)
    else:
        keys = {"channels": channels, "batch": batch, "scale": scale, "dtype": dtype, "device": device}
        found = _counted(room, upsampler, keys, plugin or (), confirm=confirm)
    print_text(json.dumps(sizes_told.data(found, room), indent=1) if as_json else sizes_told.text(found, room))
    raise typer.Exit(FINE if any(one.side for one in found) else FAILED)


def _counted(
    memory: int, upsampler: Sequence[str] | None, keys: dict[str, Any], plugin: Sequence[str], *, confirm: bool
) -> tuple[Capacity, ...]:
    from upsampler_bench import capacity as counting
    from upsampler_bench import plan
    from upsampler_bench.runner import operators

    operators.load(plugin)
    operators.add_variants(upsampler or ())
    place, device = counting.place(keys["device"])
    shape = f"{keys['channels']}x1x1"
    parsed = {"upsampler": list(upsampler or ["*"]), "shape": shape, "baseline": ""}
    parsed |= {name: keys[name] for name in ("batch", "scale", "dtype")}
    cases = plan.cases(plan.parse(parsed), operators.names(), place, operators.names(place))
    said = console(stderr=True)
    if confirm and device is None:
        said.print(f"No {place} is here: sizes are counted and not confirmed.", highlight=False)
    found = []
    with said.status("counting") as status:
        for case in cases:
            status.update(f"{case.upsampler}, {case.mode}")
            found.append(counting.largest(case, memory, device if confirm else None))
    return tuple(found)


def _estimated(stored: Path, memory: int, upsampler: Sequence[str] | None) -> tuple[Capacity, ...]:
    from fnmatch import fnmatchcase

    from upsampler_bench import storage
    from upsampler_bench.discovery import nearest
    from upsampler_bench.errors import PlanError
    from upsampler_bench.recommend import sizes_told

    found = sizes_told.estimates(storage.load(stored), memory)
    names = tuple(dict.fromkeys(one.case.upsampler for one in found))
    for pattern in upsampler or ():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise PlanError(f"no upsampler {pattern!r} in this run; {nearest(pattern, names)}")
    wanted = upsampler or ["*"]
    return tuple(one for one in found if any(fnmatchcase(one.case.upsampler, pattern) for pattern in wanted))
