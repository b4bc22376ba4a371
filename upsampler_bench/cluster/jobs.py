# torch-free
"""The shards of a plan as jobs of an engine that submitit knows: submitted, asked for their states, waited for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import psutil

from upsampler_bench.errors import BenchError, MissingPackage, PlanError, ResultsError
from upsampler_bench.storage import write_whole

SLURM, LOCAL, DEBUG = ENGINES = ("slurm", "local", "debug")
FILE, LOGS = "jobs.json", "jobs"
# States of Slurm in which a job still has to run, or to be cleared away.
UNDER_WAY = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "RESIZING", "SIGNALING",
    "STAGE_OUT", "STOPPED", "SUSPENDED",
}  # fmt: skip
ENDED = "ENDED"
# A time-out requeues a shard so often: each time it goes on where it was.
MOST_TIMEOUTS = 20
# How long before the end of its time a signal makes a job write what it has (s): at most, and per minute of its time.
LONGEST_NOTICE, NOTICE_PER_MINUTE = 90, 15
# What stopped the command stops its job too, unless the scheduler has nothing to do with it (s).
SCHEDULERS_TURN = 60.0
INTERRUPTED = 130
# What the command may take to write what it has.
GRACE_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Jobs:
    """What was submitted.

    Attributes:
        engine: one of ENGINES.
        ids: the engine's number of each shard's job, in order.
        command: that measures a shard, with "{shard}" and "{folder}" in it.
    """

    engine: str
    ids: tuple[str, ...]
    command: tuple[str, ...]

    def folders(self, folder: Path) -> list[Path]:
        """Where each shard's run is."""
        return [shard_folder(folder, number) for number in range(1, len(self.ids) + 1)]


@dataclass(frozen=True, slots=True)
class State:
    """A job as its engine sees it.

    Attributes:
        name: Slurm's word, such as "PENDING"; "ENDED" if the engine no longer knows the job.
        why: it waits or failed, if the engine says so.
    """

    name: str
    why: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether something is still to come."""
        return self.name in UNDER_WAY


class Shard:
    """The body of a job: the plain command. Stopped and started again it goes on where it was, by its --resume."""

    def __init__(self, command: Sequence[str], engine: str) -> None:
        self._command, self._engine = tuple(command), engine

    def __call__(self) -> int:
        """Runs the command; ends the process as the command ended, unless it ended well."""
        # Slurm announces the end of a job's time to every process in it, by a signal that is for submitit alone.
        self._child = subprocess.Popen(self._command, preexec_fn=_ignore_announcement)
        code = self._child.wait()
        if code == INTERRUPTED and self._engine == SLURM:
            time.sleep(SCHEDULERS_TURN)  # a preempted job is requeued if it has not ended by itself
        if code:
            sys.exit(code if code > 0 else 128 - code)
        return code

    def checkpoint(self) -> Any:
        """Before a time-out or a preemption: lets the command write what it has, and asks to be run again."""
        from submitit.helpers import DelayedSubmission

        with contextlib.suppress(psutil.Error):
            # This is a signal's handler: what it interrupted waits for the child too, and holds the lock of Popen.wait.
            child = psutil.Process(self._child.pid)
            child.send_signal(signal.SIGINT)
            child.wait(timeout=GRACE_SECONDS)
        return DelayedSubmission(Shard(self._command, self._engine))


def _ignore_announcement() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def shard_folder(folder: Path, number: int) -> Path:
    """Where a shard's run is."""
    return folder / f"shard-{number}"


def submit(
    folder: Path, plan: str, shards: int, options: Sequence[str], engine: str, parameters: Mapping[str, Any]
) -> Jobs:
    """Submits an array of shards, and writes down what was submitted.

    Args:
        folder: for the runs, the logs and jobs.json; must be seen by every machine of the cluster.
        plan: a plan of the package, or a .toml file.
        shards: how many.
        options: of `upsampler-bench run`, for every shard.
        engine: one of ENGINES.
        parameters: of sbatch, in submitit's words.

    Raises:
        PlanError: the engine is unknown, or `local`, which has no queue, would have to schedule GPUs or share cores.
        MissingPackage: submitit is not installed.
        BenchError: the engine refuses the jobs.
    """
    check(engine, shards, options)
    submitit = _submitit()
    executor = _executor(submitit, engine, folder / LOGS, parameters)
    python = (sys.executable, "-m", "upsampler_bench")
    command = (
        *python, "run", "--plan", plan, "--shard", "{shard}", "--output-dir", "{folder}", "--resume", "-f", "csv",
        *options,
    )  # fmt: skip
    cores = _cores() if engine == LOCAL else []
    bodies = []
    for number in range(1, shards + 1):
        values = {"{shard}": f"{number}/{shards}", "{folder}": str(shard_folder(folder, number))}
        pinned = ("--devices", f"cpu:{cores[number - 1]}") if cores else ()
        bodies.append(Shard([*(values.get(word, word) for word in command), *pinned], engine))
    try:
        with executor.batch():
            submitted = [executor.submit(body) for body in bodies]
        ids = tuple(job.job_id for job in submitted)
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as problem:
        raise BenchError(f"{engine} refused the jobs: {_last_line(str(problem))}") from problem
    jobs = Jobs(engine, ids, command)
    write_whole(folder / FILE, json.dumps(asdict(jobs), indent=1).encode())
    if engine == DEBUG:
        for job in submitted:
            with contextlib.suppress(SystemExit):  # the shard's own run says what happened
                job.results()
    return jobs


def check(engine: str, shards: int, options: Sequence[str]) -> None:
    """Refuses what an engine cannot do well.

    Raises:
        PlanError: saying what would work.
    """
    if engine not in ENGINES:
        raise PlanError(f"no engine {engine!r}; expected {', '.join(ENGINES)}")
    own = {"--shard", "--output-dir", "--resume", "--devices", "--plan"} & {word.partition("=")[0] for word in options}
    if own:
        raise PlanError(f"{', '.join(sorted(own))}: submit sets this for each shard")
    if engine == LOCAL and not _is_of_cpu(options):
        raise PlanError("engine local has no queue and hides GPUs; use 'run --devices all', or add: -- --device cpu")
    if engine == LOCAL and shards > len(_cores()):
        raise PlanError(f"{shards} shards on {len(_cores())} cores: engine local has no queue and starts all at once")


def _is_of_cpu(options: Sequence[str]) -> bool:
    words = " ".join(options).replace("=", " ").split()
    return "cpu" in [after for word, after in pairwise(words) if word == "--device"]


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]


def _executor(submitit: Any, engine: str, logs: Path, parameters: Mapping[str, Any]) -> Any:
    if engine == DEBUG:
        return submitit.DebugExecutor(logs)
    if engine == LOCAL:
        executor = submitit.LocalExecutor(logs)
        executor.update_parameters(timeout_min=parameters.get("time", 60), gpus_per_node=0)
        return executor
    try:
        executor = submitit.SlurmExecutor(logs, max_num_timeout=MOST_TIMEOUTS)
    except RuntimeError as problem:
        raise BenchError(f"no Slurm here ({problem}); submit from a machine that has sbatch and srun") from problem
    extra = {"requeue": True, "ntasks": 1, **parameters.get("additional_parameters", {})}
    delay = min(LONGEST_NOTICE, NOTICE_PER_MINUTE * parameters["time"])
    # srun within a job does not take its cores from sbatch since Slurm 22.05.
    cores = [f"--cpus-per-task={parameters['cpus_per_task']}"]
    executor.update_parameters(
        **{**parameters, "additional_parameters": extra, "signal_delay_s": delay, "srun_args": cores}
    )
    return executor


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as problem:
        raise MissingPackage("submit needs submitit: pip install 'upsampler-bench[cluster]'") from problem
    return submitit


def load(folder: Path) -> Jobs:
    """What was submitted into a folder.

    Raises:
        ResultsError: nothing was, or its record cannot be read.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Jobs)
    except FileNotFoundError:
        raise ResultsError(f"no {FILE} in {folder}; 'upsampler-bench submit' writes one") from None
    except (OSError, msgspec.DecodeError) as problem:
        raise ResultsError(f"cannot read {folder / FILE}: {problem}") from problem


def states(jobs: Jobs, folder: Path) -> dict[str, State]:
    """How each job stands, by its number."""
    if jobs.engine == SLURM:
        known = {**_sacct(jobs), **_squeue(jobs)}
        return {job: known.get(job, State(ENDED)) for job in jobs.ids}
    return {job: _local_state(job) for job in jobs.ids}


def _squeue(jobs: Jobs) -> dict[str, State]:
    """What Slurm's controller knows: all that is to come, and what ended in the last minutes."""
    array = jobs.ids[0].partition("_")[0]
    output = _output(["squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "--format=%i|%T|%r"])
    rows = [line.split("|", 2) for line in output.splitlines() if line.count("|") >= 2]
    return {job: State(name, "" if why in ("None", "") else why) for job, name, why in rows}


def _sacct(jobs: Jobs) -> dict[str, State]:
    """What Slurm's accounting knows, where there is one."""
    array = jobs.ids[0].partition("_")[0]
    output = _output(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={array}", "--format=JobID,State"])
    rows = [line.split("|") for line in output.splitlines() if line.count("|") == 1]
    return {job: State(*name.split(" ", 1)) for job, name in rows if name}


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _local_state(job: str) -> State:
    """Of a job whose number is that of a process."""
    try:
        is_running = job.isdigit() and psutil.Process(int(job)).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        is_running = False
    return State("RUNNING" if is_running else ENDED)


def last_error(folder: Path, job: str) -> str:
    """The last line that a job wrote to its standard error, or ""."""
    logs = sorted((folder / LOGS).glob(f"{job}_0_log.err"))
    lines = [line for log in logs for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def wait(jobs: Jobs, folder: Path, seconds: float, show: Callable[[Mapping[str, State]], None]) -> dict[str, State]:
    """Waits until no job has anything to come, and returns their states.

    Args:
        jobs, folder: what was submitted, and where.
        seconds: between two looks.
        show: called with the states whenever they changed.
    """
    shown: dict[str, State] = {}
    while True:
        now = states(jobs, folder)
        if now != shown:
            show(now)
            shown = now
        if not any(state.is_under_way for state in now.values()):
            return now
        time.sleep(seconds)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), text)
