"""A step's operations one by one: which there are, what they move, and which module they belong to."""

from itertools import pairwise

import pytest
import torch
from fake_device import FakeDevice

from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.metrics import _recording, for_case, profile, train_profile
from upsampler_bench.workloads import workload

METRICS = {INFERENCE: profile, TRAIN: train_profile}


class Cpu(FakeDevice):
    kind = "cpu"


def read(name, mode=INFERENCE):
    case = Case(name, mode, 1, 64, 6, 5)
    built = workload.build(case, Settings(), workload.shared_inputs(case, Settings()))
    (reading,) = METRICS[mode].measure(built, Cpu())
    return reading


@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_the_parts_add_up_and_the_longest_is_first(mode):
    reading = read("carafe", mode)
    seconds = [part.seconds for part in reading.parts]
    assert all(longer >= shorter for longer, shorter in pairwise(seconds))
    assert len(reading.samples) == _recording.STEPS
    assert sum(seconds) == pytest.approx(reading.estimate.value, rel=0.9)


def test_an_operation_belongs_to_the_module_that_called_it():
    within = {part.within for part in read("carafe").parts if part.name == "convolution"}
    assert within == {"channel_compressor", "content_encoder"}


def test_backward_belongs_to_the_module_of_its_forward():
    parts = {part.within: part for part in read("carafe", TRAIN).parts if part.name == "convolution_backward"}
    assert set(parts) == {"channel_compressor", "content_encoder"}


def test_products_and_convolutions_are_counted_and_bytes_are_those_of_the_tensors():
    part = next(part for part in read("carafe").parts if part.within == "channel_compressor")
    assert part.multiply_adds == 64 * 64 * 30
    assert part.traffic == 4 * (64 * 30 + 64 * 64 + 64 + 64 * 30)
    assert (part.calls, part.category) == (1, "convolution")


def test_what_is_alive_at_the_peak_is_known_by_the_operation_that_made_it():
    (bilinear,) = read("bilinear").parts
    assert bilinear.live == 4 * 64 * 12 * 10
    assert bilinear.category == "sampling"


def test_views_take_time_and_move_nothing():
    views = [part for part in read("dysample").parts if part.name == "views"]
    assert [part.traffic for part in views] == [0]
    assert views[0].calls > 1


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
        _recording.Operation("convolution", "q", 1.0, 100, 7),
        _recording.Operation("view", "", 1.0, 0, 0),
        _recording.Operation("add", "", 1.0, 30, 0),
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


def test_a_tensor_made_and_dropped_before_the_peak_is_not_alive_there():
    def step():
        small = torch.zeros(10)
        del small
        return torch.ones(1000) + 1.0

    operations = _recording._recorded(step)
    assert {one.name: one.live for one in operations} == {"zeros": 0, "ones": 4000, "add": 4000}
