"""Real measuring processes: whatever an operator does to its process, only its own row is affected."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from upsampler_bench import metrics, plan, storage
from upsampler_bench.errors import BenchError, NothingMeasured, PlanError, ResultsError
from upsampler_bench.runner import scheduler, session

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
QUICK = {
    "shape": "8x6x5",
    "mode": "inference",
    "device": "cpu",
    "max_time": 0.1,
    "warmup-calls": 1,
    "warmup-seconds": 0.0,
    "min-samples": 6,
    "metrics": ["params", "latency"],
}


class Silence:
    def begin(self, cases, device=""): ...

    def update(self, message): ...

    def lost(self, case, reason): ...


pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


def measure(folder, *names, listener=None, resume=False, **keys):
    parsed = plan.parse({**QUICK, "upsampler": list(names), "plugin": PLUGIN, **keys})
    return scheduler.run(session.prepare(parsed, folder, resume=resume), listener or Silence())


def reasons(run):
    return {row.case.upsampler: (row.status, row.reason) for row in run.measurements if row.reason}


def test_a_crash_a_hang_an_exit_and_a_memory_eater_cost_their_own_rows(tmp_path):
    names = ("segfaults", "exits", "eats-memory", "hangs", "raises", "prints", "good")
    run = measure(tmp_path, *names, **{"timeout": 12.0, "memory-limit": 2**31})
    lost = reasons(run)
    assert lost["segfaults"] == ("failed", "crashed the process during 'first call': SIGSEGV")
    assert lost["exits"] == ("failed", "ended the process during 'first call' with code 3")
    assert lost["eats-memory"][1].startswith("out of memory")
    assert lost["hangs"] == ("failed", "timed out: no response for 12 s during 'first call'")
    assert lost["raises"] == ("failed", "RuntimeError: this operator has a bug")
    assert set(lost) == set(names) - {"prints", "good"}
    for name in ("bilinear", "prints", "good"):
        measured = next(row for row in run.measurements if row.case.upsampler == name)
        assert measured.status == "measured"
        assert measured.reading("latency").samples
        assert run.ratio(measured.case, "latency") is not None
    assert run.ended == "complete"
    assert storage.load(tmp_path) == run
    assert not (tmp_path / storage.PARTIAL_FILE).exists()


def test_an_operator_of_ones_own_script_is_measured_without_a_file_of_its_own(tmp_path):
    script, keys = tmp_path / "mine.py", {**QUICK, "shape": (8, 6, 5)}
    script.write_text(
        "import torch, upsamplers, upsampler_bench\n"
        "upsamplers.register_module('mine', lambda c, s: torch.nn.ConvTranspose2d(c, c, s, s))\n"
        f"run = upsampler_bench.run(['mine'], **{keys})\n"
        "frame = upsampler_bench.to_frame(run).query('metric == \"params_weights\"')\n"
        "print(frame.set_index('upsampler').value['mine'])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == str(8 * 8 * 4.0)


class InterruptAfter(Silence):
    """Ctrl-C arrives when the first rounds are under way, always at the same point of the program."""

    def __init__(self):
        self.pressed = False

    def update(self, message):
        if not self.pressed and message.kind == "at" and (message.facts or {}).get("samples", 0) > 3:
            self.pressed = True
            raise KeyboardInterrupt


def test_ctrl_c_leaves_a_readable_run_that_resume_completes(tmp_path):
    keys = {"max_time": 10.0, "min-samples": 10**6, "target_ci": 0.0}
    run = measure(tmp_path, "good", "nearest", listener=InterruptAfter(), **keys)
    assert run.ended == "interrupted"
    stored = storage.load(tmp_path)
    good = next(row for row in stored.measurements if row.case.upsampler == "good")
    assert good.reading("latency").facts["stop"] == "interrupted"
    assert good.reading("latency").samples
    with pytest.raises(PlanError, match="min_samples, target_ci differ"):
        measure(tmp_path, "good", "nearest", resume=True, max_time=10.0)
    resumed = measure(tmp_path, "good", "nearest", resume=True, listener=InterruptAfter(), **keys)
    assert resumed.started == run.started
    assert len(resumed.measurements) == 3


class InterruptAtSecond(Silence):
    """Ctrl-C arrives when the first operator is prepared and the second is about to be."""

    def update(self, message):
        if message.kind == "at" and message.step == "build" and message.key.startswith("good/"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("mode", ["inference", "train"])
def test_resume_keeps_every_reading_of_every_metric(tmp_path, mode):
    wanted = [name for name in metrics.names() if metrics.get(name).INFOS[0].mode == mode]
    keys = {"metrics": wanted, "mode": mode, "max_time": 1.0}
    interrupted = measure(tmp_path, "good", listener=InterruptAtSecond(), **keys)
    assert interrupted.ended == "interrupted"
    before = {reading.metric: reading for reading in interrupted.measurements[0].readings}
    assert before
    resumed = measure(tmp_path, "good", resume=True, **keys)
    bilinear, good = ({reading.metric: reading for reading in row.readings} for row in resumed.measurements)
    assert set(bilinear) == set(good)
    assert before.items() <= bilinear.items()


def test_resume_measures_only_what_is_missing(tmp_path):
    first = measure(tmp_path, "good", "nearest", "raises")
    messages = []

    class Recorder(Silence):
        def update(self, message):
            messages.append(message)

    again = measure(tmp_path, "good", "nearest", "raises", resume=True, listener=Recorder())
    assert messages == []
    assert again.measurements == first.measurements
    with pytest.raises(ResultsError, match="nothing to resume"):
        measure(tmp_path / "elsewhere", "good", resume=True)


def test_running_out_of_memory_skips_larger_shapes_of_the_same_operator(tmp_path):
    run = measure(tmp_path, "eats-memory", "nearest", shape=["8x6x5", "16x6x5"], **{"memory-limit": 2 * 2**30})
    lost = [(row.status, row.reason) for row in run.measurements if row.case.upsampler == "eats-memory"]
    assert lost[0][0] == "failed"
    assert lost[1] == ("skipped", "ran out of memory at the smaller 1x8x6x5/x2/float32/contiguous/cpu")


def test_inputs_too_large_to_make_cost_their_own_shape_only(tmp_path):
    run = measure(tmp_path, "nearest", shape=["8x6x5", "100000x5000x5000"])
    lost = {row.case.channels: row.reason for row in run.measurements if row.reason}
    assert set(lost) == {100000}
    assert lost[100000].startswith("out of memory")


def test_nothing_measured_of_what_was_asked_for_is_an_error_and_keeps_the_earlier_run(tmp_path):
    kept = measure(tmp_path, "good")
    nothing = pytest.raises(NothingMeasured, match=r"nothing that was asked.*\nraises, .*: .*this operator has a bug")
    for baseline in ("", "bilinear"):
        with nothing:
            measure(tmp_path, "raises", "raises-too", baseline=baseline)
        assert storage.load(tmp_path) == kept
        assert [path.name for path in tmp_path.iterdir()] == [storage.FILE]


def test_the_baseline_may_be_what_was_asked_for(tmp_path):
    run = measure(tmp_path, "bilinear", "raises", metrics=["params"])
    assert list(reasons(run)) == ["raises"]


def test_a_folder_of_its_own_is_removed_if_nothing_was_measured(tmp_path):
    with pytest.raises(NothingMeasured):
        measure(tmp_path / "new", "raises", metrics=["params"])
    assert not (tmp_path / "new").exists()


def test_readings_are_on_disk_before_the_run_ends(tmp_path):
    seen = []

    class Look(Silence):
        def update(self, message):
            partial = tmp_path / storage.PARTIAL_FILE
            if message.kind == "at" and message.step == "latency" and partial.exists() and 3 not in seen:
                seen.append(len(storage.load(partial).measurements))

    measure(tmp_path, "good", "nearest", listener=Look(), max_time=0.5, target_ci=0.0, **{"min-samples": 10**6})
    assert max(seen) == 3


def test_a_process_that_cannot_start_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BenchError, match="could not start"):
        measure(tmp_path, "good")


def test_what_a_dead_operator_leaves_running_holds_nothing_up(tmp_path):
    begun = time.monotonic()
    run = measure(tmp_path, "forks", "good")
    assert reasons(run) == {"forks": ("failed", "ended the process during 'first call' with code 7")}
    assert time.monotonic() - begun < 100


def test_a_process_that_ends_well_without_a_reading_is_not_started_for_ever(tmp_path):
    run = measure(tmp_path, "untraceable", metrics=["flops", "params"])
    assert reasons(run)["untraceable"] == ("measured", "no flops: RuntimeError: cannot be traced")
