"""recommend: which operator to take under limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upsampler_bench.commands.console import console, minutes, print_text
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.measuring import measure
from upsampler_bench.commands.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upsampler_bench.recommend import Wish
    from upsampler_bench.results import Run

REPORTS, CAPABILITIES = Path("reports"), "capabilities"


def recommend(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Stored runs; the newest of reports/ with its capabilities by default.")
    ] = None,
    max_latency: Annotated[str | None, typer.Option(help="E.g. 20ms, or 1.5x the baseline's.")] = None,
    max_train_latency: Annotated[str | None, typer.Option(help="The same, of a training step.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="E.g. 200MiB, or 2x: the peak of a forward.")] = None,
    max_train_memory: Annotated[str | None, typer.Option(help="The same, of a training step.")] = None,
    max_params: Annotated[str | None, typer.Option(help="E.g. 50K or 1M, biases included.")] = None,
    max_gflops: Annotated[str | None, typer.Option(help="Multiply-adds in 1e9, true ones (mac).")] = None,
    no_guide: Annotated[bool, typer.Option("--no-guide", help="None that takes an encoder feature.")] = False,
    needs: Annotated[list[str] | None, typer.Option(help="What must work: onnx, bfloat16, compiles, ...")] = None,
    by: Annotated[str, typer.Option(help="miou (published), latency, memory, params, ...")] = "miou",
    shape: Annotated[str | None, typer.Option(help="CxHxW: only this condition.", metavar="CxHxW")] = None,
    dtype: Annotated[str | None, typer.Option(help="Only conditions of this dtype.")] = None,
    device: Annotated[str | None, typer.Option(help="Only conditions of it: cpu, cuda or cuda:i.")] = None,
    as_json: Json = False,
) -> None:
    """Say which operator to take under limits, from stored runs, or measured on the spot where nothing is stored.

    An operator whose interval holds a limit is borderline and not recommended. Exit codes: 0 fine, 1 nothing passes
    (in one of the conditions told), 2 misuse, 130 interrupted.
    """
    from upsampler_bench import recommend
    from upsampler_bench.recommend import limits, words

    given = dict(locals())
    texts = {name: given[f"max_{name.replace('-', '_')}"] for name in limits.QUANTITIES}
    held = tuple(limits.parse(name, text, f"--max-{name}") for name, text in texts.items() if text is not None)
    _check_order(by)
    runs = _runs(results or (), recommend.Wish(held, no_guide, tuple(needs or ()), by), shape, dtype, device)
    wish = recommend.Wish(held, no_guide, _needed(needs or (), runs), by)
    choices = recommend.choose(runs, wish, [part for part in (shape, dtype, device) if part])
    print_text(json.dumps(words.data(choices), indent=1) if as_json else words.text(choices))
    raise typer.Exit(FINE if all(one.best for one in choices) else FAILED)


def _check_order(by: str) -> None:
    from upsampler_bench.discovery import nearest
    from upsampler_bench.errors import PlanError
    from upsampler_bench.recommend import ORDERS

    if by not in ORDERS:
        raise PlanError(f"--by is {by!r}; {nearest(by, tuple(ORDERS))}")


def _needed(needs: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The capabilities meant; where no run tells of any, the names of all metrics that measure nothing else there."""
    from upsampler_bench import discovery
    from upsampler_bench.case import PROBE
    from upsampler_bench.recommend import limits

    infos = list({info.name: info for run in runs for info in run.metrics}.values())
    tried = [info for info in infos if info.mode == PROBE and info.unit in ("bool", "1")]
    measured = {info.name for info in infos}
    others = () if tried else [one for one in discovery.modules("upsampler_bench.metrics") if one not in measured]
    return limits.needed(needs, tried, others)


def _runs(
    places: Sequence[Path], wish: Wish, shape: str | None, dtype: str | None, device: str | None
) -> tuple[Run, ...]:
    """The runs named, else the newest that is stored with its capabilities, else measured now."""
    from upsampler_bench import storage

    if places:
        return tuple(storage.load(one) for one in places)
    stored = {path: storage.load(path) for path in sorted(REPORTS.glob(f"*/{storage.FILE}"))}
    newest = max(stored, key=lambda path: stored[path].started, default=None)
    if newest is None:
        keys = {"shape": shape, "dtype": dtype, "device": device}
        return tuple(_measured(wish, {name: value for name, value in keys.items() if value}))
    beside = newest.parent / CAPABILITIES / storage.FILE
    return (stored[newest], storage.load(beside)) if beside.exists() else (stored[newest],)


def _measured(wish: Wish, keys: dict[str, Any]) -> list[Run]:
    """Measures now the least that answers the question, and keeps nothing.

    Raises:
        typer.Exit: it was interrupted.
    """
    from upsampler_bench import metrics, plan
    from upsampler_bench.case import PROBE, Case
    from upsampler_bench.recommend import ORDERS, limits
    from upsampler_bench.runner import session

    asked = dict.fromkeys([*(one.metric for one in wish.limits), ORDERS[wish.by] or "latency"])
    modules = [name for name in metrics.names() if {info.name for info in metrics.get(name).INFOS} & set(asked)]
    modes = {metrics.get(name).INFOS[0].mode for name in modules}
    plans = [{**plan.read("paper"), "mode": sorted(modes), "metrics": modules, **keys}]
    if wish.needs:
        probes = metrics.for_case(Case("", PROBE), ())
        infos = [info for probe in probes.values() for info in probe.INFOS]
        needed = {one.replace("-", "_") for one in limits.needed(wish.needs, infos)}
        named = [name for name, probe in probes.items() if needed & {info.name for info in probe.INFOS}]
        own = {"device": keys["device"]} if "device" in keys else {}
        plans.append({**plan.read("capabilities"), "metrics": named, **own})
    ready = [session.prepare(plan.parse(one), None, write=False) for one in plans]
    seconds = [session.expectation(one) for one in ready]
    said = f"about {minutes(sum(one for one, _ in seconds))}, at most {minutes(sum(most for _, most in seconds))}"
    names = ", ".join(name for one in ready for name in one.job.settings.metrics)
    console(stderr=True).print(
        f"Nothing is stored below {REPORTS}/: measuring {names} now on {ready[0].cases[0].device}, {said}. "
        "'upsampler-bench run' measures all and keeps it.",
        highlight=False,
    )
    found = []
    for one in ready:
        found.append(measure(one))
        if found[-1].ended == "interrupted":
            raise KeyboardInterrupt
    return found
