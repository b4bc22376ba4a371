"""A plan made ready to run: its cases and operators, what was measured before, and where the results go."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path

from upsampler_bench import device, metrics, models, storage
from upsampler_bench import plan as plans
from upsampler_bench.case import QUALITY, TIMED, Case, Settings
from upsampler_bench.device import environment, placement
from upsampler_bench.device.placement import Placement
from upsampler_bench.errors import OutputError, PlanError, ResultsError
from upsampler_bench.plan import Plan
from upsampler_bench.results import FAILED, INTERRUPTED, MEASURED, Environment, Measurement, Run, UpsamplerInfo
from upsampler_bench.runner import forecast, isolated, operators
from upsampler_bench.runner.process import searched
from upsampler_bench.runner.protocol import Request

WRITING_SHARE = 20
NOT_YET = "not measured yet"
# Signals that a system or a person sends; an operator's own crash has others.
OUTSIDE = ("SIGKILL", "SIGTERM")
OUT_OF_MEMORY_BEFORE = "ran out of memory at the smaller"


@dataclass
class ResultWriter:
    """Writes a growing run to disk soon after it grows, in at most a twentieth of the time.

    Attributes:
        folder: where; None: nothing is written.
    """

    folder: Path | None = None
    _next: float = field(default=0.0, init=False)
    _has_written: bool = field(default=False, init=False)

    def is_due(self) -> bool:
        """Whether there is a folder, and the last writing was long enough ago."""
        return self.folder is not None and time.monotonic() >= self._next

    def write_partial(self, run: Run) -> None:
        """Writes the run as it stands."""
        assert self.folder is not None
        begun = time.monotonic()
        storage.save(run, self.folder / storage.PARTIAL_FILE)
        self._has_written = True
        self._next = time.monotonic() + WRITING_SHARE * (time.monotonic() - begun)

    def has_partial(self) -> bool:
        """Whether there is a partial file, from which the run can be resumed."""
        return self.folder is not None and (self.folder / storage.PARTIAL_FILE).exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs from writing into the folder; the system unlocks it when the process ends.

        Raises:
            OutputError: another run is writing into it.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(ImportError):
                import fcntl

                if self.folder is not None:
                    descriptor = os.open(self.folder, os.O_RDONLY)
                    stack.callback(os.close, descriptor)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        raise OutputError(
                            f"another run is writing into {self.folder}; wait for it, or choose another folder"
                        ) from None
                    except OSError:  # a file system without locks
                        pass
            yield

    def finish(self, run: Run) -> None:
        """Writes results.json in place of the partial file."""
        if self.folder is not None:
            storage.save(run, self.folder / storage.FILE)
            (self.folder / storage.PARTIAL_FILE).unlink(missing_ok=True)

    def discard(self, *, partial: bool) -> None:
        """Removes the folder if it is empty, after removing the partial file if `partial`, unless an earlier run's."""
        if self.folder is None:
            return
        if partial and self._has_written:
            (self.folder / storage.PARTIAL_FILE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


@dataclass(frozen=True)
class Session:
    """What a run is made of.

    Attributes:
        cases: in the order of the report.
        settings: how to measure.
        upsamplers: what reports show about the operators.
        requested: operators that the plan names; without the baseline, unless the plan names it too.
        plan: as the user gave it, to be stored.
        plugins: modules or files that measuring processes load first.
        specs: pickled operators that only this process knows.
        previous: a run to continue, or None.
        writer: writes the results.
        placements: the devices that share the work; empty: one process at a time, on the cases' own device.
        control: what these measured of the same call.
        begun: when the command began, on the clock of `time.monotonic`: its budget counts from then.
        after: seconds that the command takes after measuring, such as for its report; kept from the budget.
    """

    cases: tuple[Case, ...]
    settings: Settings
    upsamplers: tuple[UpsamplerInfo, ...] = ()
    requested: tuple[str, ...] = ()
    plan: dict[str, object] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    specs: bytes = b""
    previous: Run | None = None
    writer: ResultWriter = field(default_factory=ResultWriter)
    placements: tuple[Placement, ...] = ()
    control: tuple[Mapping[str, float | str], ...] = ()
    begun: float = field(default_factory=time.monotonic)
    after: float = 0.0

    @property
    def is_quality(self) -> bool:
        """Whether `quality.scheduler` runs it, and not `runner.scheduler`."""
        return self.cases[0].mode == QUALITY

    @property
    def deadline(self) -> float:
        """When measuring is to end, on the clock of `time.monotonic`; 0: never."""
        return self.begun + self.settings.budget - self.after if self.settings.budget else 0.0

    @property
    def cases_left(self) -> tuple[Case, ...]:
        """Those that the run which is continued has not measured, or not in all processes."""
        rows = self.previous.measurements if self.previous else ()
        done = {row.case for row in rows if self._is_done(retried(row, self.settings))}
        return tuple(case for case in self.cases if case not in done)

    def _is_done(self, row: Measurement) -> bool:
        timed = row.reading(TIMED.get(row.case.mode, "")) if row.status == MEASURED else None
        is_timed = timed is None or len(timed.by_process) >= self.settings.processes
        return row.status != INTERRUPTED and is_timed

    def request(self, cases: Sequence[Case], done: Mapping[str, list[str]]) -> Request:
        """What a measuring process gets for these cases."""
        path = searched(self.plugins, cases)
        return Request(tuple(cases), cases[0].device, self.settings, dict(done), self.plugins, self.specs, path)

    def expectation(self) -> tuple[float, float]:
        """Seconds that it takes to measure without a budget: expected, and at most as long as no operator hangs."""
        usual, most = forecast.expected(self.cases_left, self.settings)
        at_once = max(1, min(len(self.placements), len({case.group for case in self.cases_left})))
        return usual / at_once, most / at_once


def retried(measurement: Measurement, settings: Settings) -> Measurement:
    """The measurement, as not measured yet if its operator is not to blame, so that `--resume` tries it again.

    It was killed from outside, the budget ended, or a smaller size ran out of memory, which may have been such a kill.
    """
    is_outside = measurement.status == FAILED and any(signal in measurement.reason for signal in OUTSIDE)
    if is_outside or settings.used_up in measurement.reason or measurement.reason.startswith(OUT_OF_MEMORY_BEFORE):
        return replace(measurement, status=INTERRUPTED, reason=NOT_YET)
    return measurement


def prepare(
    plan: Plan, output: str | Path | None = None, *, resume: bool = False, shard: str = "", devices: str = ""
) -> Session:
    """Checks everything that can be checked before the first measurement.

    Args:
        plan: what to measure.
        output: the folder of results.json, with "{device}" for the device's name; None: nothing is written.
        resume: continue the run in that folder; a shard that has not begun begins.
        shard: "i/n": every n-th condition from the i-th on; there may be none. Empty: all.
        devices: that share the work, such as "0,1", "all" or "cpu:0,cpu:1"; empty: the plan's device.

    Raises:
        PlanError, DeviceError, OutputError, ResultsError: the run cannot begin.
    """
    begun, timeout = time.monotonic(), plan.settings.timeout
    named = tuple(filter(None, (*plan.upsampler, plan.settings.baseline)))
    known = {one.name: one for one in isolated.registered(named, plugins=plan.plugin, timeout=timeout)}
    _check_models(plan)
    placements = placed(devices, plan)
    device_name = placements[0].device if placements else device.resolve(plan.device)
    # Operators that attend to all of an image take minutes at the size of a decoder's feature: they are timed if named.
    is_timed = not TIMED.keys().isdisjoint(plan.mode)
    wild = [
        name
        for name, operator in known.items()
        if operator.runs_on(device_name) and not (is_timed and operator.guide_is_image)
    ]
    plan = replace(plan, backend=plans.backends(plan, device_name))
    cases = plans.cases(plan, tuple(known), device_name, wild)
    cases = tuple(case for case in cases if case.mode == QUALITY or metrics.for_case(case, plan.settings.metrics))
    if not cases:
        raise PlanError(f"none of {', '.join(plan.settings.metrics)} is measured in mode {', '.join(plan.mode)}")
    stored = {key: _as_list(value) for key, value in asdict(plan).items() if key not in ("settings", "plugin")}
    if sources := (*plan.plugin, *(name.rpartition(":")[0] for name in plan.model if ":" in name)):
        stored["plugins"] = [f"{source} {_checksum(source)}" for source in sources]
    if shard:
        number, count = plans.shard(shard)
        groups = plans.conditions(cases)
        stored |= {"shard": shard, "conditions": [group[0].group for group in groups]}
        chosen = {case for group in groups[number - 1 :: count] for case in group}
        cases = tuple(case for case in cases if case in chosen)
    measuring = placements[0].name if placements else device_name
    folder = None if output is None else output_folder(output, measuring)
    previous = _previous(folder, plan, stored, measuring) if folder is not None and resume else None
    if folder is not None:
        check_writable(folder)
    measured = list(dict.fromkeys(case.upsampler for case in cases))
    return Session(
        cases=cases,
        settings=plan.settings,
        upsamplers=tuple(known[name].info for name in measured),
        requested=plans.requested(plan, tuple(known), device_name, wild),
        plan=stored,
        plugins=plan.plugin,
        specs=operators.pickled(measured),
        previous=previous,
        writer=ResultWriter(folder),
        placements=placements,
        begun=begun,
    )


def _check_models(plan: Plan) -> None:
    """Refuses models that do not exist; a user's own are imported in a measuring process."""
    own = [name for name in plan.model if ":" in name]
    for model in filter(None, plan.model):
        if model not in own:
            models.check(model)
    if not own:
        return
    answers: list[bool | str] = isolated.ask(
        "upsampler_bench.models:check_in", [Case("", model=name) for name in own], bool, str,
        plugins=plan.plugin, timeout=plan.settings.timeout,
    )  # fmt: skip
    for name, answer in zip(own, answers, strict=True):
        if isinstance(answer, str):
            raise PlanError(f"cannot load model {name!r}: {answer}")


def placed(devices: str, plan: Plan) -> tuple[Placement, ...]:
    """The devices of that text; none for an empty text.

    Raises:
        DeviceError: there is no such device.
        PlanError: the plan asks for another device, or for more threads than one core runs.
    """
    placements = placement.parse(devices) if devices else ()
    if not placements:
        return ()
    kind = placements[0].device.partition(":")[0]
    if plan.device not in ("auto", kind):
        raise PlanError(f"--device is {plan.device} and --devices is {devices}; name one of them")
    if kind == "cpu" and plan.settings.threads > 1:
        raise PlanError(f"threads is {plan.settings.threads} on --devices {devices}; each of them is one core")
    return placements


def _checksum(plugin: str) -> str:
    """Of a plug-in's source, so that measurements of two versions of it are never mixed."""
    source = plugin if plugin.endswith(".py") else _source(plugin)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:12]


def _source(module: str) -> str:
    """The file of a module, which is not imported, nor are the packages that it is in."""
    names = module.split(".")
    spec = importlib.util.find_spec(names[0]) or PathFinder.find_spec(names[0], [os.getcwd()])
    for depth in range(2, len(names) + 1):
        spec = spec and PathFinder.find_spec(".".join(names[:depth]), spec.submodule_search_locations or [])
    if spec is None or spec.origin is None:
        raise PlanError(f"plug-in {module!r} has no file; expected a module or a .py file")
    return spec.origin


def output_folder(output: str | Path, device_name: str) -> Path:
    """The folder of that name, with a device's name (such as "nvidia-h200") for "{device}"."""
    return Path(str(output).replace("{device}", Environment(device.label(device_name), "").slug))


def _previous(folder: Path, plan: Plan, stored: Mapping[str, object], device_name: str) -> Run | None:
    files = [folder / name for name in (storage.PARTIAL_FILE, storage.FILE) if (folder / name).exists()]
    if not files and "shard" in stored:
        return None
    if not files:
        raise ResultsError(f"nothing to resume in {folder}; run without --resume")
    run = storage.load(files[0])
    if keys := differing(run, {"plugins": None, **stored}, plan.settings, device_name):
        raise PlanError(
            f"{files[0]} is of another run: {', '.join(keys)} differ; leave out --resume, and "
            "choose another --output-dir unless this run is to be replaced"
        )
    return run


def differing(run: Run, plan: Mapping[str, object], settings: Settings, device_name: str) -> list[str]:
    """Which keys of a stored run differ from a plan, settings, a resolved device, this machine and the torch here."""
    stored, current = {**run.plan, **asdict(run.settings)}, {"shard": None, **plan, **asdict(settings)}
    keys = sorted(key for key in current if _as_list(current[key]) != _as_list(stored.get(key)))
    if device.label(device_name) != run.environment.device_name:
        keys.append("device_name")
    elif run.environment.device_kind == "cpu":
        stored_machine, here = run.environment.machine, environment.identity()
        if ":" in run.environment.origin.device or ":" in device_name:  # its process was, or will be, bound to one core
            del here["cores"]
        keys += [key for key in here if stored_machine.get(key, here[key]) != here[key]]
    if version("torch") != run.environment.versions.get("torch", ""):
        keys.append("torch")
    return keys


def _as_list(value: object) -> object:
    """Tuples as the lists that JSON makes of them."""
    return [_as_list(item) for item in value] if isinstance(value, (list, tuple)) else value


def check_writable(folder: Path) -> None:
    """Creates a folder if it is missing.

    Raises:
        OutputError: results cannot be written into it.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        for name in (storage.FILE, storage.PARTIAL_FILE):
            if (folder / name).is_dir():
                raise IsADirectoryError(None, f"{name} is a folder")
    except OSError as problem:
        raise OutputError(f"cannot write into {folder}: {problem.strerror or problem}") from problem
