"""The runs that the comparison with the paper needs: one per section, each with a plan of its own, kept and reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from upsampler_bench import plan
from upsampler_bench.errors import PlanError
from upsampler_bench.paper import accuracy
from upsampler_bench.results import COMPLETE, Run
from upsampler_bench.runner import session
from upsampler_bench.runner.session import Session

NAMES = ("operators", "model", "gated", "parameters", "ablation")
# Sections to which a user may add operators.
OPEN = ("operators", "model", "parameters")


def prepare(
    section: str,
    flags: Mapping[str, Any],
    added: Sequence[str],
    stored: Sequence[tuple[Path, Run]],
    unfinished: Sequence[tuple[Path, Run]],
) -> tuple[Session, Run | None]:
    """A section made ready, and its run if a complete one is stored.

    Args:
        section: one of NAMES.
        flags: keys that replace the plan's; `batch` replaces that of a model only, `plugin` goes with `added`.
        added: operators besides the plan's.
        stored: runs that may hold the section, newest first, with their folders.
        unfinished: incomplete runs, with their folders; one that fits is resumed there. Any other section gets its
            folder from the caller.

    Raises:
        PlanError, DeviceError, OutputError: the section cannot begin.
    """
    if flags.get("plugin") and not added:
        raise PlanError(f"--plugin {flags['plugin'][0]} adds no row by itself; expected its operators too: -u NAME")
    keys = dict(plan.read(section))
    left_out = {"batch"} if section != "model" else set()
    if section in OPEN:
        keys["upsampler"] = [*keys["upsampler"], *added]
    else:
        left_out.add("plugin")
    keys |= {key: value for key, value in flags.items() if key not in left_out}
    parsed = plan.parse(keys)
    ready = session.prepare(parsed)
    complete = next((run for _, run in stored if _is_complete(run, ready)), None)
    if complete is None:
        for folder, run in unfinished:
            if not _differing(run, ready, {"plugins": None, **ready.plan}):
                return session.prepare(parsed, folder, resume=True), None
    return ready, complete


def with_accuracy(
    prepared: Mapping[str, tuple[Session, Run | None]], path: Path
) -> dict[str, tuple[Session, Run | None]]:
    """Prepared sections and their stored runs, each operator with what a user trained.

    Args:
        prepared: by section.
        path: a CSV file: see `accuracy.read`.

    Raises:
        PlanError: the file cannot be read, or a line of it is wrong.
    """
    names = dict.fromkeys(info.name for ready, _ in prepared.values() for info in ready.upsamplers)
    given = accuracy.read(path, tuple(names))
    made = {}
    for name, (ready, run) in prepared.items():
        stored = run and replace(run, upsamplers=accuracy.attached(run.upsamplers, given))
        made[name] = replace(ready, upsamplers=accuracy.attached(ready.upsamplers, given)), stored
    return made


def _is_complete(run: Run, ready: Session) -> bool:
    """Whether a run of this device, torch, settings and version of the plug-ins holds every case of the section."""
    keys = {measurement.case.key for measurement in run.measurements}
    versions = {key: ready.plan[key] for key in ("plugins",) if key in ready.plan}
    is_same = not _differing(run, ready, versions)
    return run.ended == COMPLETE and all(case.key in keys for case in ready.cases) and is_same


def _differing(run: Run, ready: Session, keys: Mapping[str, object]) -> list[str]:
    return session.differing(run, keys, ready.settings, ready.cases[0].device)
