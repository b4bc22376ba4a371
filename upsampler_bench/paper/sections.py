"""What the comparison with the paper is measured in: a run a section, each a plan of its own, kept and reused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upsampler_bench import device, plan, storage
from upsampler_bench.errors import PlanError, ResultsError
from upsampler_bench.plan import Plan
from upsampler_bench.results import COMPLETE, Environment, Run
from upsampler_bench.runner import session
from upsampler_bench.runner.session import Session

NAMES = ("operators", "model", "gated", "parameters", "ablation")
# Sections that another operator of the user's is added to.
OPEN = ("operators", "model")
FOLDER = "paper"


def prepare(
    section: str, flags: dict[str, Any], more: Sequence[str], output: Path | None, *, again: bool
) -> tuple[Session, Run | None]:
    """A section made ready, and its run where a whole one is stored.

    Args:
        section: one of NAMES.
        flags: keys that replace the plan's, but for `batch`, which is a model's.
        more: operators beside the plan's.
        output: the folder of all sections; None: reports/<device>/paper.
        again: measure anew whatever is stored.

    Raises:
        PlanError, DeviceError, OutputError: the section cannot begin.
    """
    keys = {key.replace("-", "_"): value for key, value in plan.read(section).items()}
    given = {key: value for key, value in flags.items() if key != "batch" or section == "model"}
    keys["upsampler"] = [*keys["upsampler"], *(more if section in OPEN else ())]
    wanted = plan.parse({**keys, **given})
    own = output / section if output else None
    ready = session.prepare(wanted, own, below=f"{FOLDER}/{section}")
    if again:
        return ready, None
    places = [ready.writer.place(_here(ready))]
    # What `make bench` measured holds the bare operators, and more.
    places += [session.REPORTS / _here(ready).slug] if section == "operators" and output is None else []
    stored = next((run for one in places if (run := _stored(one, ready))), None)
    return (ready, stored) if stored else (_resumed(wanted, own, section) or ready, None)


def folder(output: Path | None, run: Run) -> Path:
    """Where the report over all sections goes."""
    return output or session.REPORTS / run.environment.slug / FOLDER


def _here(ready: Session) -> Environment:
    return Environment(device.label(ready.cases[0].device), "")


def _stored(place: Path, ready: Session) -> Run | None:
    """A whole stored run of this device and this torch with these settings, that holds every case of the section."""
    try:
        run = storage.load(place / storage.FILE)
    except ResultsError:
        return None
    keys = {one.case.key for one in run.measurements}
    whole = run.ended == COMPLETE and all(case.key in keys for case in ready.cases)
    alike = session.differing(run, {}, ready.job.settings, ready.cases[0].device) == []
    return run if whole and alike else None


def _resumed(wanted: Plan, own: Path | None, section: str) -> Session | None:
    """The section made ready to go on from what an interrupted run left, or None."""
    try:
        return session.prepare(wanted, own, resume=True, below=f"{FOLDER}/{section}")
    except (PlanError, ResultsError):
        return None
