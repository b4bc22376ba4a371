"""One group in this process, on a device with a made-up clock."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice

import upsamplers
from upsampler_bench import metrics
from upsampler_bench.case import TRAIN, Case, Settings
from upsampler_bench.runner.group import Group, why
from upsampler_bench.runner.protocol import Message, Request, read_message, read_request, write_message, write_request
from upsampler_bench.workloads import workload

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
SETTINGS = Settings(warmup_calls=1, warmup_seconds=0.0)


@pytest.fixture(autouse=True)
def _plugin(registry_restored):
    if "good" not in upsamplers.names():
        upsamplers.load_plugin(PLUGIN)


def measure(*names, mode="inference", settings=SETTINGS, device=None, done=None, interrupted=lambda: False):
    cases = tuple(Case(name, mode, 1, 8, 6, 5) for name in names)
    request = Request(cases, "cpu", settings, {case.key: (done or {}).get(case.upsampler, []) for case in cases})
    messages = []
    Group(request, device or FakeDevice(), messages.append, interrupted).measure()
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


def test_an_asynchronous_device_gives_wall_time_gap_and_a_launch_bound_mark():
    found = readings(measure("bilinear", device=FakeDevice((0.01,), asynchronous=True)), "bilinear")
    assert found["latency_wall"].estimate.value == pytest.approx(0.02)
    assert found["latency_gap"].estimate.value == pytest.approx(0.01)
    assert "launch-bound" in found["latency"].notes[0]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("raises", "failed", "RuntimeError: this operator has a bug"),
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


def test_a_triton_operator_must_match_its_reference_and_is_counted_as_it():
    @upsamplers.register("twin", reference="deconv")
    class Twin(type(upsamplers.create("deconv", 4))):
        def forward(self, x):
            return super().forward(x) * self.factor

    Twin.factor = 1.0
    found = readings(measure("deconv", "twin"), "twin")
    assert found["flops_mac"].samples == readings(measure("deconv"), "deconv")["flops_mac"].samples
    Twin.factor = 1.01
    assert lost(measure("deconv", "twin"))["twin"][1].startswith("wrong output: differs from deconv by 1.0e-02")


def test_what_was_read_before_is_not_read_again():
    messages = measure("bilinear", "good", done={"bilinear": ["latency"], "good": ["params_weights", "latency"]})
    assert "params_weights" not in readings(messages, "good")
    assert "params_weights" in readings(messages, "bilinear")
    assert "latency" not in readings(messages, "good")


def test_an_interrupt_keeps_the_samples_taken_so_far():
    device = FakeDevice()
    # Latency alone: the rates of the roofline are timed too, on this clock, once in a process.
    settings = replace(SETTINGS, metrics=("latency",))
    messages = measure("bilinear", "good", settings=settings, device=device, interrupted=lambda: device.calls > 25)
    assert readings(messages, "good")["latency"].facts["stop"] == "interrupted"


def test_the_same_seed_gives_the_same_inputs_and_weights():
    case = Case("deconv", TRAIN, 1, 4, 3, 3)
    first, second = (workload.build(case, SETTINGS, workload.shared_inputs(case, SETTINGS)) for _ in range(2))
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
    message = measure("bilinear")[-2]
    assert read_message(write_message(message, "ab"), "ab") == message
    assert read_message(write_message(Message("failed", "k", text="why"), "ab"), "ab") == Message(
        "failed", "k", text="why"
    )


def test_a_count_that_fails_costs_the_count_and_not_the_latency():
    messages = measure("bilinear", "untraceable")
    reasons = [message.text for message in messages if message.kind == "incomplete"]
    assert reasons == [f"no {name}: RuntimeError: cannot be traced" for name in ("flops", "roofline")]
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
    built = workload.build(case, SETTINGS, workload.shared_inputs(case, SETTINGS))
    built.step_for_memory(lambda: None)
    assert all(tensor.grad is None for tensor in (*built.inputs, *built.module.parameters()))


def test_memory_is_never_counted_on_the_compiled_form_on_a_cpu():
    calls = []

    class Compiled:
        def __call__(self, *inputs):
            calls.append(inputs)

    case = Case("bilinear", "inference", 1, 4, 3, 3)
    built = workload.build(case, SETTINGS, workload.shared_inputs(case, SETTINGS))
    compiled = workload.Workload(case, built.module, Compiled(), built.inputs)
    assert compiled.step_for_memory(lambda: None).shape == (1, 4, 6, 6)
    assert calls == []
    assert "eager" in metrics.get("memory").measure(compiled, FakeDevice())[0].notes[0]
