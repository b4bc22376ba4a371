"""recommend: which operator to use under limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upsampler_bench import storage
from upsampler_bench.case import PROBE, Case
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.measuring import duration, measure
from upsampler_bench.commands.options import Json
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.results import COMPLETE, Run

if TYPE_CHECKING:
    from upsampler_bench.recommend import Criteria


def recommend(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Stored runs; by default the newest that suits in runs/ and reports/.")
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Longest forward, e.g. 20ms, or 1.5x (of the baseline's).")
    ] = None,
    max_train_latency: Annotated[str | None, typer.Option(help="Longest training step, likewise.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="Largest peak of a forward, e.g. 200MiB or 2x.")] = None,
    max_train_memory: Annotated[str | None, typer.Option(help="Largest peak of a training step, likewise.")] = None,
    max_params: Annotated[str | None, typer.Option(help="Most parameters, e.g. 50K or 1M, biases included.")] = None,
    max_gflops: Annotated[str | None, typer.Option(help="Most multiply-adds (mac), in 1e9.")] = None,
    no_guide: Annotated[bool, typer.Option("--no-guide", help="Leave out guided operators.")] = False,
    needs: Annotated[
        list[str] | None, typer.Option(help="Capability that it must have, e.g. onnx or bfloat16. Repeat for more.")
    ] = None,
    by: Annotated[str, typer.Option(help="Choose by miou, latency, memory, params, ...")] = "miou",
    quality: Annotated[
        str | None,
        typer.Option(help="mIoU measured on shapes, or published. Default: shapes if a stored run has 3 seeds."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Only this shape.", metavar="CxHxW")] = None,
    dtype: Annotated[str | None, typer.Option(help="Only this dtype.")] = None,
    device: Annotated[str | None, typer.Option(help="Only this device: auto (any), cpu, cuda or cuda:i.")] = None,
    backend: Annotated[str | None, typer.Option(help="Only on this backend, such as onnxruntime.")] = None,
    as_json: Json = False,
) -> None:
    """Recommend an operator under limits, from stored runs.

    If none has what is needed, it is measured into runs/. An operator whose
    interval contains a limit is borderline and not recommended.

    Exit codes: 0 fine, 1 nothing passes under one of the conditions, 2 misuse,
    130 interrupted.
    """
    from upsampler_bench import recommend
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
    condition = {"shape": (shape or "").lower(), "dtype": dtype, "device": "" if device == "auto" else device}
    keys = {name: key for name, key in condition.items() if key}
    criteria = recommend.Criteria(given, no_guide, tuple(needs or ()), by, backend or "", quality or "")
    files, runs = zip(*_runs(results or (), criteria, keys), strict=True)
    criteria = replace(criteria, needs=_needs(needs or (), runs))
    made = recommend.recommend(runs, criteria, list(keys.values()), list(map(str, files)))
    print(json.dumps(text.data(made), indent=1) if as_json else text.text(made))
    raise typer.Exit(FINE if all(one.best for one in made) else FAILED)


def _needs(needs: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The capabilities' names, of those that a run has tested and of all others."""
    from upsampler_bench import discovery
    from upsampler_bench.recommend import limits

    infos = {info.name: info for run in runs for info in run.metrics}
    probed = [info for info in infos.values() if info.mode == PROBE and info.unit in ("bool", "1")]
    return limits.capabilities(needs, probed, discovery.modules("upsampler_bench.capabilities"))


def _runs(paths: Sequence[Path], criteria: Criteria, keys: Mapping[str, str]) -> list[tuple[Path, Run]]:
    """The runs named, else the newest stored one with its capabilities and the newest of quality, else measured now.

    Each with where it is stored.
    """
    from upsampler_bench.quality.choice import measured
    from upsampler_bench.quality.tasks import is_ranking

    if paths:
        return [(path, storage.load(path)) for path in paths]
    suits = partial(_is_measured, criteria=criteria, keys=keys)
    newest = storage.newest_run(suits=suits) or storage.newest_run(nested=True, suits=suits)
    of_quality = storage.newest_run(
        nested=True, suits=lambda run: is_ranking(run) and bool(measured(run, criteria.quality))
    )
    ranking = [of_quality] if of_quality else []
    if newest is None:
        return [*_measured(criteria, keys), *ranking]
    # With all that is asked for, else with some; of the same device, else of another of its kind, which the text names.
    for needs, same in product((criteria.needs, ()), ("device_name", "device_kind")):
        device = getattr(newest[1].environment, same)
        suits = partial(_is_probed, needs=needs, same=same, device=device)
        if probed := storage.newest_run(nested=True, suits=suits):
            return [newest, probed, *ranking]
    return [newest, *ranking]


def _is_measured(run: Run, criteria: Criteria, keys: Mapping[str, str]) -> bool:
    """Whether a complete run has the costs that are asked for, under such a condition and on such a backend."""
    from upsampler_bench import recommend
    from upsampler_bench.report.lines import conditions

    if run.ended != COMPLETE or not _metrics(criteria) <= {one.metric for _, one in run.readings() if one.samples}:
        return False
    alike = [condition for condition in conditions(run) if recommend.has_parts(condition, [*keys.values()])]
    return any(criteria.backend in ("", line.backend) for condition in alike for line in condition.lines)


def _metrics(criteria: Criteria) -> set[str]:
    """The metrics that are limited, and the one that is chosen by; of an mIoU ties are ordered by latency."""
    from upsampler_bench.recommend import ORDERS

    return {*(limit.metric for limit in criteria.limits), ORDERS[criteria.by] or "latency"}


def _is_probed(run: Run, needs: Sequence[str], same: str, device: str) -> bool:
    """Whether a run of this device holds capabilities alone, those that are needed among them."""
    if getattr(run.environment, same) != device or not run.measurements:
        return False
    if any(row.case.mode != PROBE for row in run.measurements):
        return False
    return {*_needs(needs, [run])} <= {reading.metric for _, reading in run.readings()}


def _measured(criteria: Criteria, keys: Mapping[str, str]) -> list[tuple[Path, Run]]:
    """Measures the least that is needed, and stores it in runs/ as any other run.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    from upsampler_bench import plan
    from upsampler_bench.runner import session

    plans = [plan.parse(one) for one in _plans(criteria, keys)]
    sessions = [session.prepare(one) for one in plans]
    names = ", ".join(name for one in sessions for name in one.settings.metrics)
    messages = console(stderr=True)
    messages.print(
        f"No stored run in runs/ or reports/ has what is asked for: measuring {names} now on "
        f"{sessions[0].cases[0].device}, {duration(sessions, 0.0)}. 'upsampler-bench run' measures everything.",
    )
    runs = []
    for parsed, ready in zip(plans, sessions, strict=True):
        folder = storage.new_folder(parsed.name)
        run = measure(replace(ready, writer=session.ResultWriter(folder)))
        messages.print(f"Stored in {folder}", soft_wrap=True)
        if run.ended == "interrupted":
            raise KeyboardInterrupt
        runs.append((folder, run))
    return runs


def _plans(criteria: Criteria, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    from upsampler_bench import metrics, plan
    from upsampler_bench.recommend import limits

    values = _metrics(criteria)
    modules = [name for name in metrics.names() if values & {info.name for info in metrics.get(name).INFOS}]
    modes = sorted({metrics.get(name).INFOS[0].mode for name in modules})
    on = {"backend": criteria.backend} if criteria.backend else {}
    plans = [{**plan.read("paper"), "name": "recommend", "mode": modes, "metrics": modules, **keys, **on}]
    if criteria.needs:
        probes = metrics.for_case(Case("", PROBE), ())
        needed = limits.capabilities(criteria.needs, [info for probe in probes.values() for info in probe.INFOS])
        names = [name for name, probe in probes.items() if {*needed} & {info.name for info in probe.INFOS}]
        device = {"device": keys["device"]} if "device" in keys else {}
        plans.append({**plan.read("capabilities"), "metrics": names, **device})
    return plans
