"""A GPU with made-up clocks: a host that submits work, and a device that works it off in order."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from upsampler_bench.case import Settings
from upsampler_bench.device import cuda

CYCLES_PER_SECOND = 2e9
# What the host takes to record an event, and the device to write or read the buffer that flushes L2 (s).
RECORDING, FLUSHING = 2e-6, 40e-6


class FakeCuda:
    """Stands for the torch and time modules of `upsampler_bench.device.cuda`.

    Attributes:
        host: the host's clock (s).
        idle_at: when the device will have worked off what has been submitted (s).
        log: what was submitted, in order.
    """

    def __init__(self) -> None:
        self.host = self.idle_at = 0.0
        self.log: list[str] = []

    def submit(self, name: str, host: float, device: float) -> None:
        """The host takes `host` seconds to submit work that takes the device `device` seconds."""
        self.host += host
        self.idle_at = max(self.idle_at, self.host) + device
        self.log.append(name)

    def synchronize(self, *_: object) -> None:
        self.host = max(self.host, self.idle_at)

    def operator(self, kernels: int, host: float, device: float) -> Callable[[], None]:
        """A call of so many kernels, each with its seconds on the host and on the device."""

        def call() -> None:
            for _ in range(kernels):
                self.submit("kernel", host, device)

        return call

    def modules(self) -> tuple[SimpleNamespace, SimpleNamespace]:
        """What replaces torch and time."""

        class Event:
            def __init__(event, *, enable_timing: bool) -> None:
                assert enable_timing

            def record(event) -> None:
                self.submit("event", RECORDING, 0.0)
                event.at = self.idle_at

            def query(event) -> bool:
                return event.at <= self.host

            def synchronize(event) -> None:
                self.host = max(self.host, event.at)

            def elapsed_time(event, end: Event) -> float:
                return (end.at - event.at) * 1e3

        scratch = SimpleNamespace(
            zero_=lambda: self.submit("write", RECORDING, FLUSHING),
            max=lambda: self.submit("read", RECORDING, FLUSHING),
        )
        flags = SimpleNamespace(allow_tf32=True, benchmark=False)
        torch = SimpleNamespace(
            device=lambda name: name,
            empty=lambda *size, dtype, device: scratch,
            int32="int32",
            set_num_threads=lambda count: None,
            backends=SimpleNamespace(cuda=SimpleNamespace(matmul=flags), cudnn=flags),
            cuda=SimpleNamespace(
                Event=Event,
                _sleep=lambda cycles: self.submit("spin", RECORDING, cycles / CYCLES_PER_SECOND),
                synchronize=self.synchronize,
                set_device=lambda name: None,
                get_device_properties=lambda name: SimpleNamespace(L2_cache_size=50 * 2**20),
            ),
        )
        return torch, SimpleNamespace(perf_counter_ns=lambda: round(self.host * 1e9))


def create(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> tuple[FakeCuda, cuda.Cuda]:
    """The made-up GPU, and the device of the instrument that measures on it."""
    fake = FakeCuda()
    torch, time = fake.modules()
    monkeypatch.setattr(cuda, "torch", torch)
    monkeypatch.setattr(cuda, "time", time)
    device = cuda.Cuda("cuda:0")
    device.prepare(settings)
    fake.log.clear()
    return fake, device
