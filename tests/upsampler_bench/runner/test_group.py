"""One group in this process, on a device with a made-up clock."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from fake_device import FakeDevice
from sample_workload import built

from upsampler_bench import backends, metrics
from upsampler_bench.case import TRAIN, Case, Settings
from upsampler_bench.device import Timings, processor, quota, rates
from upsampler_bench.results import THROTTLED
from upsampler_bench.runner.group import Group, why
from upsampler_bench.runner.protocol import Message, Request, read_message, read_request, write_message, write_request
from upsampler_bench.workloads import workload

SETTINGS = Settings(warmup_calls=1, warmup_seconds=0.0)


pytestmark = pytest.mark.usefixtures("bad_operators")


def measure(*names, mode="inference", settings=SETTINGS, device=None, done=None, backend="torch"):
    cases = tuple(Case(name, mode, 1, 8, 6, 5, backend=backend) for name in names)
    request = Request(cases, "cpu", settings, {case.key: (done or {}).get(case.upsampler, []) for case in cases})
    messages = []
    Group(request, device or FakeDevice(), messages.append, lambda: False).measure()
    return messages


def readings(messages, name):
    own = [message for message in messages if message.reading and message.key.startswith(f"{name}/")]
    return {message.reading.metric: message.reading for message in own}


def lost(messages):
    last = [message for message in messages if message.kind in ("failed", "skipped")]
    return {message.key.split("/")[0]: (message.kind, message.text) for message in last}


@pytest.mark.parametrize("mode", ["inference", "train"])
def test_every_metric_of_a_mode_is_read(mode):
    found = readings(measure("bilinear", "deconv", mode=mode), "deconv")
    assert {metric.INFOS[0].name for metric in metrics.for_case(Case("deconv", mode), ()).values()} <= set(found)


def test_only_the_requested_metrics_are_read_and_parameters_are_counted_with_and_without_biases():
    found = readings(measure("deconv", settings=Settings(metrics=("params",))), "deconv")
    samples = {name: reading.samples for name, reading in found.items()}
    assert samples == {"params_weights": (8 * 8 * 9,), "params_all": (8 * 8 * 9 + 8,)}


def test_timings_keep_their_rounds_their_method_and_why_they_ended():
    reading = readings(measure("bilinear", "good"), "good")["latency"]
    assert reading.method == "fake clock"
    assert reading.facts["stop"] == "within 1.0%"
    assert reading.facts["first_call"] > 0
    assert len(reading.samples) >= 30
    assert all(1 <= len(samples) <= 8 for samples in reading.rounds)


@pytest.mark.parametrize(("mode", "prefix"), [("inference", ""), ("train", "train_")])
def test_an_asynchronous_device_gives_wall_and_launch_time_of_the_same_calls(mode, prefix):
    found = readings(measure("bilinear", mode=mode, device=FakeDevice((0.01,), asynchronous=True)), "bilinear")
    assert found[f"{prefix}latency"].estimate.value == pytest.approx(0.01)
    assert found[f"{prefix}wall"].estimate.value == pytest.approx(0.02)
    assert found[f"{prefix}launch"].estimate.value == pytest.approx(0.015)
    assert len({len(found[f"{prefix}{name}"].rounds) for name in ("latency", "wall", "launch")}) == 1
    # A listener counts a case as timed when the reading says why sampling ended: once.
    assert [name for name, reading in found.items() if "stop" in reading.facts] == [f"{prefix}latency"]


def test_rooflines_are_compared_with_the_times_that_they_bound(monkeypatch):
    for name, value in {"BUFFER": 2**10, "LARGEST_SIDE": 256, "LARGEST_IMAGE": 16, "_measured": {}}.items():
        monkeypatch.setattr(rates, name, value)
    messages = measure("bilinear", "nearest", settings=replace(SETTINGS, metrics=("latency", "roofline")))
    sent = [one.reading for one in messages if one.reading and one.reading.metric == "roofline_time"]
    doubtful = [any(note.startswith("doubtful: ") for note in reading.notes) for reading in sent]
    assert doubtful == [False, False, True, True]


def test_on_a_cpu_there_is_neither_wall_nor_launch_time():
    assert not {"wall", "launch"} & set(readings(measure("bilinear"), "bilinear"))


@pytest.mark.parametrize(("exposed", "calls"), [(0, ""), (1, "some calls"), (4, "every call")])
def test_a_time_with_launches_that_were_not_hidden_is_marked(exposed, calls):
    timings = Timings((0.01,) * 4, (0.02,), (0.015,), exposed)
    notes = (f"launches not hidden: the device may have waited for the host in {calls}",) if calls else ()
    for name in ("latency", "train_latency"):
        reading, *_ = metrics.get(name).readings((timings,) * 8, {}, "events")
        assert reading.notes == notes


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("raises", "failed", "RuntimeError: this operator has a bug (bad_plugins.py:"),
        ("refuses", "skipped", "refuses (1, 8, 6, 5); expected something nicer"),
        ("wrong-shape", "failed", "wrong output: shape (1, 8, 6, 5), expected (1, 8, 12, 10)"),
        ("not-finite", "failed", "wrong output: not finite"),
        # Which of "not every element is written" and "not finite" depends on what the memory held before.
        ("unwritten", "failed", "wrong output: not "),
        ("writes-to-x", "failed", "wrong: modifies its inputs in place"),
    ],
)
def test_an_operator_that_fails_loses_its_own_row_only(name, kind, reason):
    messages = measure("bilinear", name, "good")
    assert set(lost(messages)) == {name}
    assert lost(messages)[name][0] == kind
    assert lost(messages)[name][1].startswith(reason)
    assert "latency" in readings(messages, "good")
    assert "latency" not in readings(messages, name)


@pytest.fixture
def scaled(monkeypatch):
    """A backend "scaled", which multiplies what the module returns by the factor that this returns."""
    factor, get = [1.0], backends.get

    class Scaled:
        OPERATORS = "torch"

        def prepare(self, module, inputs):
            return lambda *inputs: module(*inputs) * factor[0]

    monkeypatch.setattr(backends, "get", lambda name: Scaled() if name == "scaled" else get(name))
    return factor


def test_another_backend_must_match_torch_in_float64_and_is_counted_as_torch_is(scaled):
    found, plain = (readings(measure("deconv", backend=name), "deconv") for name in ("scaled", "torch"))
    assert found["flops_mac"].samples == plain["flops_mac"].samples
    assert 0 < found["deviation"].samples[0] < 1e-5
    assert "deviation" not in plain
    scaled[0] = 1.01
    reason = lost(measure("deconv", backend="scaled"))["deconv"][1]
    assert reason.startswith("wrong output: differs from backend torch in float64 by 1.0e-02, more than 1e-04")


def test_the_gradients_of_another_backend_are_compared_in_training(scaled):
    found = readings(measure("deconv", backend="scaled", mode=TRAIN), "deconv")
    assert 0 < found["gradient_deviation"].samples[0] < 1e-4


def test_a_backend_that_an_operator_lacks_or_the_device_cannot_run_skips_the_row(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert lost(measure("deconv", backend="triton"))["deconv"] == ("skipped", "deconv has no Triton form")
    reason = "carafe on backend triton needs cuda, not cpu"
    assert lost(measure("carafe", backend="triton"))["carafe"] == ("skipped", reason)


def test_what_was_read_before_is_not_read_again():
    messages = measure("bilinear", "good", done={"bilinear": ["latency"], "good": ["params_weights", "latency"]})
    assert "params_weights" not in readings(messages, "good")
    assert "params_weights" in readings(messages, "bilinear")
    assert "latency" not in readings(messages, "good")


def test_the_same_seed_gives_the_same_inputs_and_weights():
    case = Case("deconv", TRAIN, 1, 4, 3, 3)
    first, second = built(case), built(case)
    assert torch.equal(first.inputs[0], second.inputs[0])
    assert torch.equal(first.module.weight, second.module.weight)
    other = workload.shared_inputs(case, Settings(seed=1))
    assert not torch.equal(first.inputs[0], other[0])


def test_all_ways_of_running_out_of_memory_read_alike():
    for problem in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError("x")):
        assert why(problem).startswith("out of memory")
    assert why(ValueError("two\n  lines")) == "ValueError: two lines"


def test_requests_and_messages_survive_their_lines():
    request = Request((Case("a"),), "cpu", Settings(metrics=("latency",)), {"a": ["b"]}, ("p",), b"\x00\xff", ("/x",))
    assert read_request(write_request(request)) == request
    for message in (measure("bilinear")[-2], Message("failed", "k", text="why")):
        assert read_message(write_message(message, "ab"), "ab") == message


def test_a_count_that_fails_costs_the_count_and_not_the_latency():
    messages = measure("bilinear", "untraceable")
    reasons = [message.text for message in messages if message.kind == "incomplete"]
    assert reasons == [
        f"no {name}: RuntimeError: cannot be traced (bad_plugins.py:94)" for name in ("flops", "roofline")
    ]
    assert {"latency", "inference_memory"} <= set(readings(messages, "untraceable"))
    assert "flops_mac" not in readings(messages, "untraceable")


def test_inputs_are_restored_after_an_operator_wrote_to_them():
    case = Case("bilinear", "inference", 1, 8, 6, 5)
    shared = workload.shared_inputs(case, SETTINGS)
    shared[0].mul_(0)
    workload.restore(shared, case, SETTINGS)
    assert torch.equal(shared[0], workload.shared_inputs(case, SETTINGS)[0])


def test_a_training_step_leaves_no_gradient_that_would_hide_from_the_next_count():
    case = Case("deconv", TRAIN, 1, 4, 3, 3)
    made = built(case)
    made.step_for_memory(lambda: None)
    assert all(tensor.grad is None for tensor in (*made.inputs, *made.module.parameters()))


def test_memory_is_never_counted_on_the_compiled_form_on_a_cpu():
    case, calls = Case("bilinear", "inference", 1, 4, 3, 3), []
    eager = built(case)
    compiled = workload.Workload(case, eager.module, lambda *inputs: calls.append(inputs), eager.inputs)
    assert compiled.step_for_memory(lambda: None).shape == (1, 4, 6, 6)
    assert calls == []
    assert "eager" in metrics.get("memory").measure(compiled, FakeDevice())[0].notes[0]


def test_under_throttling_what_was_timed_is_marked_and_what_was_counted_is_not(monkeypatch):
    monkeypatch.setattr(quota, "throttled_periods", count().__next__)
    found = readings(measure("bilinear"), "bilinear")
    note = f"{THROTTLED}: CPU quota of {processor.usable_cores():g} cores"
    assert note in found["latency"].notes
    assert note in found["roofline_time"].notes
    assert note not in {*found["flops_mac"].notes, *found["inference_memory"].notes}


class Slow(FakeDevice):
    """Takes a second for each first call."""

    def synchronize(self):
        self.now += 1.0


USED_UP = "the budget of 60 s is used up"


@pytest.mark.parametrize(
    ("deadline", "skipped", "untimed"),
    [(8.0, [], []), (5.0, ["good"], []), (0.5, ["nearest", "deconv", "good"], ["bilinear"])],
)
def test_what_does_not_fit_into_the_budget_is_skipped_and_the_rest_is_timed_until_its_end(deadline, skipped, untimed):
    device, settings = Slow(), replace(SETTINGS, budget=60.0, target_ci=0.0, metrics=("params", "latency"))
    cases = tuple(Case(name, "inference", 1, 8, 6, 5) for name in ("nearest", "bilinear", "deconv", "good"))
    request = Request(cases, "cpu", settings, {case.key: [] for case in cases}, deadline=deadline)
    messages = []
    Group(request, device, messages.append, lambda: False, lambda: device.now).measure()
    assert lost(messages) == dict.fromkeys(skipped, ("skipped", USED_UP))
    incomplete = {message.key.split("/")[0]: message.text for message in messages if message.kind == "incomplete"}
    assert incomplete == dict.fromkeys(untimed, f"no latency: {USED_UP}")
    timed = [case.upsampler for case in cases if "latency" in readings(messages, case.upsampler)]
    assert timed == [case.upsampler for case in cases if case.upsampler not in (*skipped, *untimed)]
    assert device.now <= max(deadline, 1.0) + 0.1
