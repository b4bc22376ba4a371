"""Devices that share a run: which there are, what of the host each gets, what they share."""

from types import SimpleNamespace
from typing import ClassVar

import pytest

from upsampler_bench.device import nvml, placement, processor
from upsampler_bench.errors import DeviceError


class Driver:
    """Two boards: on the first two GPUs, on the second one below the same PCIe switch; a fourth is far away."""

    NVMLError = RuntimeError
    levels: ClassVar = {("GPU-0", "GPU-1"): 0, ("GPU-0", "GPU-2"): 20, ("GPU-1", "GPU-2"): 10}
    near: ClassVar = {"GPU-0": 0x0F, "GPU-1": 0xF0, "GPU-2": 0xF00, "GPU-3": 0xF000}

    def nvmlSystemGetDriverVersion(self):
        return "570.86"

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetIndex(self, handle):
        if handle not in self.near:
            raise self.NVMLError("Not Found")
        return int(handle.removeprefix("GPU-"))

    def nvmlDeviceGetTopologyCommonAncestor(self, first, second):
        return self.levels.get((first, second), 40)

    def nvmlDeviceGetCpuAffinity(self, handle, words):
        return [self.near[handle]] + [0] * (words - 1)


@pytest.fixture
def machine(monkeypatch):
    """Four GPUs of one model, nine host cores."""
    gpus = [SimpleNamespace(name="NVIDIA H100", uuid=str(index)) for index in range(4)]
    cuda = SimpleNamespace(
        is_available=lambda: bool(gpus),
        device_count=lambda: len(gpus),
        get_device_properties=lambda device: gpus[int(device.rpartition(":")[2])],
    )
    monkeypatch.setattr(placement, "torch", SimpleNamespace(cuda=cuda, device=str))
    monkeypatch.setattr(processor, "cores", lambda: tuple(range(9)))
    monkeypatch.setattr(nvml, "_driver", lambda: Driver())
    return gpus


def test_each_gpu_is_the_only_one_its_process_sees_and_has_cores_of_its_own(machine):
    placements = placement.parse("all")
    assert [one.uuid for one in placements] == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
    assert {one.device for one in placements} == {"cuda:0"}
    cores = [core for one in placements for core in one.cores]
    assert len(cores) == len(set(cores)) == 8


def test_cores_near_to_a_gpu_are_set_aside_first(machine):
    first, second = placement.parse("1,0")
    assert (first.cores, second.cores) == ((4, 5, 6, 7), (0, 1, 2, 3))
    assert placement.cores_in_words(first) == "cuda:1 with host cores 4-7"


def test_what_gpus_share_is_warned_about(machine):
    assert placement.warnings(placement.parse("all")) == [
        "cuda:0 and cuda:1 share the power of one board: one may slow the other",
        "cuda:0 and cuda:2 share a PCIe switch: one may slow the other",
        "cuda:1 and cuda:2 share a PCIe switch: one may slow the other",
    ]
    assert placement.warnings(placement.parse("2,3")) == []


def test_fewer_cores_than_devices_are_shared_with_a_warning(machine, monkeypatch):
    monkeypatch.setattr(processor, "cores", lambda: (0, 1))
    placements = placement.parse("2,3")
    assert {one.cores for one in placements} == {(0, 1)}
    assert placement.warnings(placements) == ["2 devices share 2 host cores: launch times are disturbed"]


def test_gpus_of_two_models_do_not_share_a_run(machine):
    machine[1].name = "NVIDIA L4"
    with pytest.raises(DeviceError, match="must be of one model: cuda:0 is NVIDIA H100, cuda:1 is NVIDIA L4"):
        placement.parse("0,1")


def test_a_part_of_a_gpu_is_refused(machine):
    machine[1].uuid = "part"
    with pytest.raises(DeviceError, match=r"cuda:1: the driver does not know it as a whole GPU; .*\(MIG\)"):
        placement.parse("0,1")


def test_a_core_is_a_device_with_one_thread(machine):
    first, second = placement.parse("cpu:0, cpu:3")
    assert (first.name, first.device, first.cores) == ("cpu:0", "cpu", (0,))
    assert placement.cores_in_words(second) == "cpu:3 with one thread"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0,0", "named twice"), ("0,00", "named twice"), ("cpu:1,cpu:01", "named twice"),
        (":0", "expected GPUs"),
        ("0,cpu:1", "expected GPUs such as 0,1 or all, or cores"), ("cpu", "expected GPUs"),
        ("", "expected GPUs"), ("4", "this machine has 4 CUDA GPUs"), ("cpu:9", "may run on cores 0, 1, 2"),
    ],
)  # fmt: skip
def test_what_is_no_device_is_refused(machine, text, why):
    with pytest.raises(DeviceError, match=why):
        placement.parse(text)


def test_without_a_gpu_all_says_what_would_work(machine):
    machine.clear()
    with pytest.raises(DeviceError, match=r"no CUDA GPU; .*cpu:0,cpu:1"):
        placement.parse("all")
