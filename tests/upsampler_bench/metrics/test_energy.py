"""Energy per call on made-up clocks: idle power subtracted, a ratio to the baseline, or why there is none."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fake_device import FakeDevice

from upsampler_bench.case import Case
from upsampler_bench.errors import DeviceError
from upsampler_bench.metrics import energy, for_case

IDLE, BUSY = 50.0, 250.0  # W


class Powered(FakeDevice):
    """Uses IDLE watts while the host sleeps, and `busy` while it computes."""

    def __init__(self, busy=BUSY):
        super().__init__()
        self.used, self.busy = 0.0, busy

    def energy_counter(self):
        return SimpleNamespace(method="a meter", joules=lambda: self.used)

    def sleep(self, seconds):
        self.now, self.used = self.now + seconds, self.used + IDLE * seconds

    def workload(self, seconds):
        def step():
            self.now, self.used = self.now + seconds, self.used + self.busy * seconds

        return SimpleNamespace(case=Case("carafe"), step=step)


def measure(monkeypatch, device, seconds=0.01):
    monkeypatch.setattr(energy, "time", SimpleNamespace(perf_counter=lambda: device.now, sleep=device.sleep))
    return {reading.metric: reading for reading in energy.measure(device.workload(seconds), device)}


@pytest.mark.parametrize("seconds", [1e-4, 0.01, 5.0])
def test_energy_is_that_of_one_call_beyond_idle_power(seconds, monkeypatch):
    found = measure(monkeypatch, Powered(), seconds)
    assert found["energy"].samples == pytest.approx(((BUSY - IDLE) * seconds,))
    assert found["power"].samples == pytest.approx((BUSY,))
    assert found["idle_power"].samples == pytest.approx((IDLE,))
    assert found["energy"].method == "a meter, over 2 s of back-to-back calls"


def test_calls_that_need_no_more_than_an_idle_device_have_no_energy(monkeypatch):
    found = measure(monkeypatch, Powered(busy=IDLE - 1))
    assert (found["energy"].samples, found["energy"].notes) == ((), ("the calls did not exceed idle power",))
    assert found["power"].samples == pytest.approx((IDLE - 1,))


def test_without_a_counter_the_reading_says_why_it_is_empty(monkeypatch):
    device = Powered()

    def refuse():
        raise DeviceError("no counter here")

    device.energy_counter = refuse
    found = measure(monkeypatch, device)
    assert list(found) == ["energy"]
    assert (found["energy"].samples, found["energy"].notes) == ((), ("no counter here",))


def test_energy_is_measured_only_where_it_is_asked_for():
    case = Case("bilinear")
    assert "energy" not in for_case(case, ())
    assert "energy" in for_case(case, ("energy",))
    assert "energy" in for_case(replace(case, model="segformer-b1"), ("energy",))
    assert "energy" not in for_case(replace(case, mode="train"), ("energy",))
