"""A step's operations one by one: which there are, what they move, and which module they belong to."""

from functools import cache
from itertools import accumulate, pairwise

import pytest
import sample_workload
import torch
from fake_device import FakeDevice

import upsamplers
from upsampler_bench.case import INFERENCE, TRAIN, Case
from upsampler_bench.metrics import _ranges, _recording, for_case, profile, train_profile
from upsampler_bench.results import Live

METRICS = {INFERENCE: profile, TRAIN: train_profile}


class Cpu(FakeDevice):
    kind = "cpu"


def built(name, mode=INFERENCE):
    least = upsamplers.get(name).cls.least_size
    return sample_workload.built(Case(name, mode, 1, 64, max(6, least), max(5, least)))


@pytest.fixture(autouse=True)
def least_steps(monkeypatch):
    monkeypatch.setattr(_recording, "SECONDS", 0)


@cache
def read(name, mode=INFERENCE):
    (reading,) = METRICS[mode].measure(built(name, mode), Cpu())
    return reading


def named(parts, name):
    return {part.within: part for part in parts if part.name == name}


@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_each_step_adds_up_and_the_longest_part_is_first(mode):
    reading = read("carafe", mode)
    seconds = [part.seconds for part in reading.parts]
    assert all(longer >= shorter for longer, shorter in pairwise(seconds))
    assert _recording.STEPS / 2 <= len(reading.samples) <= _recording.MOST_STEPS
    assert reading.facts["unrecorded"] > 0


def test_steps_that_touch_new_memory_do_not_count(monkeypatch):
    pages = iter(accumulate([0, 9, 0, 9, 0, 0, 9, 0, 9, 9, 0, 0]))  # before and after each step
    monkeypatch.setattr(_recording, "_new_pages", lambda: next(pages))
    parts = iter([[_recording.Part("all", "all", "", 1, float(number))] for number in range(_recording.STEPS)])
    monkeypatch.setattr(_recording, "_by_operation", lambda *_: next(parts))
    (reading,) = profile.measure(built("nearest"), Cpu())
    assert reading.samples == (2.0, 3.0, 5.0)


def test_an_operation_belongs_to_the_module_or_stage_that_called_it():
    parts = read("carafe").parts
    assert set(named(parts, "convolution")) == {"channel_compressor", "content_encoder"}
    assert set(named(parts, "_softmax")) == {"softmax"}
    assert set(named(parts, "bmm")) == {"reassembly"}


def test_backward_belongs_to_the_module_or_stage_of_its_forward():
    parts = read("carafe", TRAIN).parts
    assert set(named(parts, "convolution_backward")) == {"channel_compressor", "content_encoder"}
    assert set(named(parts, "_softmax_backward_data")) == {"softmax"}
    assert set(named(parts, "baddbmm")) == {"reassembly"}


def test_a_stage_of_a_submodule_is_named_with_its_path():
    operator = upsamplers.create("carafe", 64)
    model = torch.nn.Sequential(torch.nn.Conv2d(64, 64, 1), operator)
    x = torch.randn(1, 64, 6, 5)
    operations, _ = _recording._recorded(lambda: model(x), model)
    within = {one.name: one.within for one in operations}
    assert (within["_softmax"], within["bmm"]) == ("1.softmax", "1.reassembly")
    assert {one.within for one in operations if one.name == "convolution"} >= {"0", "1.content_encoder"}


def test_products_and_convolutions_are_counted_and_bytes_are_those_of_the_tensors():
    part = named(read("carafe").parts, "convolution")["channel_compressor"]
    assert part.multiply_adds == 64 * 64 * 30
    assert part.traffic == 4 * (64 * 30 + 64 * 64 + 64 + 64 * 30)
    assert (part.calls, part.category) == (1, "convolution")


@pytest.mark.slow
@sample_workload.every_operator
@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_no_operation_loses_its_multiply_adds_and_few_bytes_are_lost(name, mode):
    workload = built(name, mode)
    workload.step()
    costs, _ = _recording._recorded(workload.step, workload.module)
    parts = _recording._by_operation(costs, _ranges.profiled(workload.step, workload.module), _ranges.Overhead())
    assert sum(part.multiply_adds for part in parts) == sum(one.multiply_adds for one in costs)
    assert sum(part.traffic for part in parts) >= 0.9 * sum(one.traffic for one in costs)


@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_what_is_alive_at_the_peak_adds_up_to_the_metric(mode):
    workload = built("carafe", mode)
    assert sum(one.bytes for one in read("carafe", mode).live) == Cpu().peak(workload.step_for_memory).peak


def test_what_is_alive_at_the_peak_is_known_by_the_operation_that_made_it():
    assert read("bilinear").live == (Live("upsample_bilinear2d", "interpolation", 4 * 64 * 12 * 10),)


def test_a_tensor_made_and_dropped_before_the_peak_is_not_alive_there():
    makers = _recording.Makers()
    with makers:
        small = torch.zeros(10)
        del small
        torch.ones(1000) + 1.0
    assert {makers.names[number - 1]: size for number, size in makers.at_peak.items()} == {"ones": 4000, "add": 4000}


def test_views_take_time_and_move_nothing():
    views = named(read("dysample").parts, "views")["sampling"]
    assert views.traffic == 0
    assert views.calls > 1


def test_what_the_profiler_takes_is_subtracted():
    workload = built("carafe")
    taken = _ranges.profiled(workload.step, workload.module)
    plain, less = (_recording._by_operation([], taken, _ranges.Overhead(*each)) for each in ((0.0, 0.0), (1e-9, 2e-9)))
    ranges = sum(map(_ranges.is_range, taken.events))
    events = _recording._descendants(taken.step) - ranges
    total, rest = (sum(part.seconds for part in parts) for parts in (plain, less))
    assert total - rest == pytest.approx(1e-9 * events + 2e-9 * ranges, rel=1e-3)
    assert total == pytest.approx(taken.step.time_range.elapsed_us() / 1e6)


def test_the_spans_are_some_steps_in_turn_and_lie_within_them():
    spans = read("carafe", TRAIN).spans
    steps = [span for span in spans if span.name == _ranges.STEP]
    assert len(steps) == _recording.TRACED
    assert all(before.begin + before.seconds < after.begin for before, after in pairwise(steps))
    for one in spans:
        assert any(step.begin <= one.begin and one.begin + one.seconds <= step.begin + step.seconds for step in steps)
    kinds = {(span.name, span.kind) for span in spans}
    assert {("softmax", "range"), ("content_encoder", "range"), ("convolution", "operation")} <= kinds
    assert ("ReassemblyBackward", "range") in kinds


def test_profiling_leaves_no_hook():
    hooks = torch.nn.modules.module._global_forward_hooks, torch.nn.modules.module._global_forward_pre_hooks
    read("carafe")
    assert not any(hooks)


def test_a_profile_is_measured_only_where_it_is_asked_for():
    case = Case("bilinear", INFERENCE, 1, 64, 6, 5)
    assert "profile" not in for_case(case, ())
    assert list(for_case(case, ("profile", "train_profile"))) == ["profile"]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, std::array<char*> >",
            "vectorized_elementwise_kernel (Fill)",
        ),
        ("window_sum_fwd_kernel", "window_sum_fwd_kernel"),
        ("void (anonymous namespace)::softmax_warp_forward<float>(float*, int)", "softmax_warp_forward"),
    ],
)
def test_a_kernel_has_the_name_that_a_person_would_search_for(name, short):
    assert _recording.kernel_name(name) == short


def test_kernels_are_those_of_the_operation_within_which_they_were_launched():
    class Event:
        def __init__(self, name, parent=None, kernels=()):
            self.name, self.cpu_parent, self.kernels = name, parent, kernels

    class Kernel:
        def __init__(self, name, duration):
            self.name, self.duration = name, duration

    operations = [
        _recording.Operation("convolution", "conv2d", 100, 7, "q"),
        _recording.Operation("view", "view", 0, 0),
        _recording.Operation("add", "add", 30, 0),
    ]
    outer = Event(f"{_recording.MARK}0")
    events = [
        outer,
        Event("aten::convolution", outer, [Kernel("gemm", 5.0), Kernel("bias", 20.0)]),
        Event("aten::add", Event(f"{_recording.MARK}2"), [Kernel("add_kernel", 3.0)]),
        Event("outside", None, [Kernel("other", 9.0)]),
    ]
    parts = _recording._by_kernel(operations, events)
    assert [(part.name, part.within, part.seconds, part.traffic) for part in parts] == [
        ("bias", "q", 20e-6, 100),
        ("gemm", "q", 5e-6, 0),
        ("add_kernel", "", 3e-6, 30),
    ]
