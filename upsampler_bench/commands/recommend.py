"""recommend: which operator to use under limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upsampler_bench.case import PROBE, TIMED
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.measuring import duration, measure
from upsampler_bench.commands.options import Json

if TYPE_CHECKING:
    from upsampler_bench.recommend import Criteria
    from upsampler_bench.results import Run


def recommend(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Stored runs; by default the newest in runs/ and reports/.")
    ] = None,
    max_latency: Annotated[str | None, typer.Option(help="E.g. 20ms, or 1.5x: a ratio to the baseline.")] = None,
    max_train_latency: Annotated[str | None, typer.Option(help="The same for a training step.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="Peak of a forward, e.g. 200MiB or 2x.")] = None,
    max_train_memory: Annotated[str | None, typer.Option(help="The same for a training step.")] = None,
    max_params: Annotated[str | None, typer.Option(help="E.g. 50K or 1M, biases included.")] = None,
    max_gflops: Annotated[str | None, typer.Option(help="Multiply-adds in 1e9.")] = None,
    no_guide: Annotated[bool, typer.Option("--no-guide", help="No operators that take an encoder feature.")] = False,
    needs: Annotated[list[str] | None, typer.Option(help="A capability, e.g. onnx or bfloat16.")] = None,
    by: Annotated[str, typer.Option(help="Choose by miou, latency, memory, params, ...")] = "miou",
    quality: Annotated[
        str | None,
        typer.Option(help="mIoU measured on shapes, or published. Default: shapes if a stored run has it."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Only this shape.", metavar="CxHxW")] = None,
    dtype: Annotated[str | None, typer.Option(help="Only this dtype.")] = None,
    device: Annotated[str | None, typer.Option(help="Only this device: cpu, cuda or cuda:i.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only on this backend, such as onnxruntime.")] = None,
    as_json: Json = False,
) -> None:
    """Recommend an operator under limits, from stored runs; measures what is needed if there are none.

    An operator whose interval contains a limit is borderline and not recommended. Exit codes: 0 fine, 1 nothing passes
    under one of the conditions, 2 misuse, 130 interrupted.
    """
    from upsampler_bench import recommend
    from upsampler_bench.discovery import nearest
    from upsampler_bench.errors import PlanError
    from upsampler_bench.quality import choice
    from upsampler_bench.recommend import limits, text

    texts = {
        "latency": max_latency,
        "train-latency": max_train_latency,
        "memory": max_memory,
        "train-memory": max_train_memory,
        "params": max_params,
        "gflops": max_gflops,
    }
    given = tuple(limits.parse(name, limit, f"--max-{name}") for name, limit in texts.items() if limit is not None)
    if by not in recommend.ORDERS:
        raise PlanError(f"--by is {by!r}; {nearest(by, tuple(recommend.ORDERS))}")
    if quality is not None and quality not in choice.SOURCES:
        raise PlanError(f"--quality is {quality!r}; {nearest(quality, choice.SOURCES)}")
    condition = {"shape": shape, "dtype": dtype, "device": device}
    keys = {name: key for name, key in condition.items() if key}
    criteria = recommend.Criteria(given, no_guide, tuple(needs or ()), by, backend or "", quality or "")
    runs = _runs(results or (), criteria, keys)
    criteria = replace(criteria, needs=_needs(needs or (), runs))
    made = recommend.recommend(runs, criteria, list(keys.values()))
    print(json.dumps(text.data(made), indent=1) if as_json else text.text(made))
    raise typer.Exit(FINE if all(one.best for one in made) else FAILED)


def _needs(needs: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The capabilities' names; where no run has any, those of all metrics that no run measured."""
    from upsampler_bench import discovery
    from upsampler_bench.recommend import limits

    infos = {info.name: info for run in runs for info in run.metrics}
    probed = [info for info in infos.values() if info.mode == PROBE and info.unit in ("bool", "1")]
    others = () if probed else [name for name in discovery.modules("upsampler_bench.metrics") if name not in infos]
    return limits.capabilities(needs, probed, others)


def _runs(paths: Sequence[Path], criteria: Criteria, keys: Mapping[str, str]) -> tuple[Run, ...]:
    """The runs named, else the newest stored one with its capabilities and the newest of quality, else measured now."""
    from upsampler_bench import storage
    from upsampler_bench.quality.tasks import is_ranking

    if paths:
        return tuple(storage.load(path) for path in paths)
    newest = storage.newest_run(suits=lambda run: _is_measured(run, criteria.backend))
    of_quality = storage.newest_run(nested=True, suits=is_ranking)
    ranking = (of_quality[1],) if of_quality else ()
    if newest is None:
        return (*_measured(criteria, keys), *ranking)
    run = newest[1]
    probed = storage.newest_run(nested=True, suits=lambda other: _is_probed(other, run.environment.device_name))
    return (run, *((probed[1],) if probed else ()), *ranking)


def _is_measured(run: Run, backend: str) -> bool:
    """Whether a run holds costs, of operators on this backend where one is given."""
    return any(row.case.mode in TIMED and backend in ("", row.case.backend) for row in run.measurements)


def _is_probed(run: Run, device_name: str) -> bool:
    """Whether a run of this device holds capabilities alone."""
    on_device = run.environment.device_name == device_name
    return on_device and bool(run.measurements) and all(row.case.mode == PROBE for row in run.measurements)


def _measured(criteria: Criteria, keys: Mapping[str, str]) -> tuple[Run, ...]:
    """Measures the least that is needed; stores nothing.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    from upsampler_bench import plan
    from upsampler_bench.runner import session

    sessions = [session.prepare(plan.parse(one)) for one in _plans(criteria, keys)]
    names = ", ".join(name for one in sessions for name in one.settings.metrics)
    console(stderr=True).print(
        f"No stored run in runs/ or reports/: measuring {names} now on {sessions[0].cases[0].device}, "
        f"{duration(sessions, 0.0)}. 'upsampler-bench run' measures and stores everything.",
    )
    runs = []
    for one in sessions:
        runs.append(measure(one))
        if runs[-1].ended == "interrupted":
            raise KeyboardInterrupt
    return tuple(runs)


def _plans(criteria: Criteria, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    from upsampler_bench import metrics, plan
    from upsampler_bench.case import Case
    from upsampler_bench.recommend import ORDERS, limits

    values = {*(limit.metric for limit in criteria.limits), ORDERS[criteria.by] or "latency"}
    modules = [name for name in metrics.names() if values & {info.name for info in metrics.get(name).INFOS}]
    modes = sorted({metrics.get(name).INFOS[0].mode for name in modules})
    on = {"backend": criteria.backend} if criteria.backend else {}
    plans = [{**plan.read("paper"), "mode": modes, "metrics": modules, **keys, **on}]
    if criteria.needs:
        probes = metrics.for_case(Case("", PROBE), ())
        needed = limits.capabilities(criteria.needs, [info for probe in probes.values() for info in probe.INFOS])
        names = [name for name, probe in probes.items() if {*needed} & {info.name for info in probe.INFOS}]
        device = {"device": keys["device"]} if "device" in keys else {}
        plans.append({**plan.read("capabilities"), "metrics": names, **device})
    return plans
