"""The timing protocol of CUDA, on a GPU with made-up clocks."""

import itertools

import fake_cuda
import pytest
from fake_cuda import RECORDING

from upsampler_bench.case import Settings
from upsampler_bench.device.cuda import LONGEST_SPIN, RETAKES

# The end event is submitted behind the spin too: the device reaches it right after the last kernel.
CLOSE = {"rel": 1e-6, "abs": 1e-9}


@pytest.fixture
def gpu(monkeypatch):
    return fake_cuda.create(monkeypatch, Settings())


@pytest.mark.parametrize(
    ("operator", "seconds", "launch", "wall"),
    [
        ({"kernels": 20, "host": 50e-6, "device": 3e-6}, 60e-6, 1000e-6, 1003e-6),
        ({"kernels": 4, "host": 5e-6, "device": 1e-3}, 4e-3, 20e-6, 4.005e-3),
    ],
    ids=["slower host", "slower device"],
)
def test_the_device_is_timed_as_it_is_whether_the_host_is_slower_or_faster(gpu, operator, seconds, launch, wall):
    fake, device = gpu
    timings = device.time(fake.operator(**operator), 8)
    assert timings.exposed == 0
    assert timings.device == pytest.approx((seconds,) * 8, **CLOSE)
    assert (*timings.launch, *timings.wall) == pytest.approx((launch, wall), **CLOSE)


def test_a_sample_in_which_the_host_stalled_is_taken_again(gpu):
    fake, device = gpu
    calls = itertools.count()

    def call():
        fake.submit("kernel", 10e-6, 30e-6)
        fake.host += 5e-3 if next(calls) == 3 else 0.0
        fake.submit("kernel", 10e-6, 30e-6)

    timings = device.time(call, 4)
    assert timings.device == pytest.approx((60e-6,) * 4, **CLOSE)
    assert timings.exposed == 0
    # One on the host's clock, four samples, and those that the stall cost.
    assert next(calls) == 6


def test_a_call_that_waits_for_the_device_is_counted_as_exposed_and_ends(gpu):
    fake, device = gpu
    calls = itertools.count()

    def call():
        next(calls)
        fake.submit("kernel", 10e-6, 30e-6)
        fake.synchronize()
        fake.submit("kernel", 10e-6, 30e-6)

    timings = device.time(call, 8)
    assert timings.exposed == len(timings.device) == 8
    assert timings.device == pytest.approx((70e-6 + RECORDING,) * 8, rel=0.05)
    # Once it is known that no spin hides them, samples are not taken again: now, and in later rounds.
    assert next(calls) == 1 + 8 + RETAKES
    device.time(call, 8)
    assert next(calls) == 1 + 8 + RETAKES + 1 + 1 + 8


def test_a_call_that_was_hidden_after_all_is_taken_again_when_it_is_disturbed(gpu):
    fake, device = gpu
    calls = itertools.count()
    # Call 0 is on the host's clock. Every attempt at the first sample, and one sample of the next round.
    stalled = {*range(1, 2 + RETAKES), 5 + RETAKES}

    def call():
        fake.host += LONGEST_SPIN if next(calls) in stalled else 0.0
        fake.submit("kernel", 10e-6, 30e-6)

    assert device.time(call, 3).exposed == 1
    assert device.time(call, 3).exposed == 0
    assert next(calls) == 4 + RETAKES + 4 + 1


def test_the_spin_is_queued_behind_the_flush_and_before_the_start_event(gpu):
    fake, device = gpu
    device.time(fake.operator(kernels=2, host=5e-6, device=5e-6), 1)
    assert fake.log[-7:] == ["write", "read", "spin", "event", "kernel", "kernel", "event"]


def test_the_flush_ends_with_a_read_so_that_no_written_line_is_left(gpu):
    fake, device = gpu
    device.time(fake.operator(kernels=1, host=5e-6, device=5e-6), 3)
    assert [name for name in fake.log if name in ("write", "read")] == ["write", "read"] * 4


def test_a_warm_cache_is_not_flushed_but_its_launches_are_hidden(monkeypatch):
    fake, device = fake_cuda.create(monkeypatch, Settings(cache="warm"))
    timings = device.time(fake.operator(kernels=20, host=50e-6, device=3e-6), 2)
    assert timings.device == pytest.approx((60e-6,) * 2, **CLOSE)
    assert not {"write", "read"} & set(fake.log)


def test_no_spin_is_longer_than_the_longest(gpu):
    fake, device = gpu
    before = fake.host
    timings = device.time(fake.operator(kernels=1, host=1.0, device=1e-3), 1)
    assert timings.exposed == 1
    assert fake.host - before < (1 + 1 + RETAKES) * (1.0 + LONGEST_SPIN) + 0.1


def test_the_method_says_how_launches_are_hidden_and_the_cache_flushed(gpu):
    _, device = gpu
    assert device.timing_method() == "CUDA events, launches hidden by a spin, cold, clean L2"
