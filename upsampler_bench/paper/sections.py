"""The runs that the comparison with the paper needs: one per section, each with a plan of its own, kept and reused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upsampler_bench import plan
from upsampler_bench.results import COMPLETE, Run
from upsampler_bench.runner import session
from upsampler_bench.runner.session import Session

NAMES = ("operators", "model", "gated", "parameters", "ablation")
# Sections to which a user may add operators.
OPEN = ("operators", "model")


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
        flags: keys that replace the plan's; `batch` replaces that of a model only.
        added: operators besides the plan's.
        stored: runs that may hold the section, newest first, with their folders.
        unfinished: likewise, runs that may be continued where they are; other sections are not written anywhere yet.

    Raises:
        PlanError, DeviceError, OutputError: the section cannot begin.
    """
    keys = {key.replace("-", "_"): value for key, value in plan.read(section).items()}
    if section in OPEN:
        keys["upsampler"] = [*keys["upsampler"], *added]
    keys |= {key: value for key, value in flags.items() if key != "batch" or section == "model"}
    parsed = plan.parse(keys)
    ready = session.prepare(parsed)
    complete = next((run for _, run in stored if _is_complete(run, ready)), None)
    if complete is None:
        for folder, run in unfinished:
            if not _differing(run, ready, ready.plan):
                return session.prepare(parsed, folder, resume=True), None
    return ready, complete


def _is_complete(run: Run, ready: Session) -> bool:
    """Whether a run of this device, torch and settings holds every case of the section."""
    keys = {measurement.case.key for measurement in run.measurements}
    return run.ended == COMPLETE and all(case.key in keys for case in ready.cases) and not _differing(run, ready, {})


def _differing(run: Run, ready: Session, keys: Mapping[str, object]) -> list[str]:
    return session.differing(run, keys, ready.settings, ready.cases[0].device)
