"""Counters of energy: RAPL's files, and a driver that counts."""

from types import SimpleNamespace

import pytest

from upsampler_bench.device import energy, nvml
from upsampler_bench.errors import DeviceError


def zone(folder, name, what, microjoules, most=10_000_000):
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{what}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{most}\n")


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_and_memory_count_and_what_they_contain_or_are_contained_in_does_not(powercap):
    names = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:1": "dram"}
    others = {"intel-rapl:0:0": "core", "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0"}
    for name, what in {**names, **others}.items():
        zone(powercap, name, what, 0)
    counter = energy.Rapl()
    assert counter.joules() == 0
    for name, what in {**names, **others}.items():
        zone(powercap, name, what, 2_000_000)
    assert counter.joules() == pytest.approx(6)


def test_a_counter_that_overflows_goes_on(powercap):
    zone(powercap, "intel-rapl:0", "package-0", 9_000_000)
    counter = energy.Rapl()
    counter.joules()
    zone(powercap, "intel-rapl:0", "package-0", 500_000)
    assert counter.joules() == pytest.approx(1.5)
    zone(powercap, "intel-rapl:0", "package-0", 700_000)
    assert counter.joules() == pytest.approx(1.7)


def test_a_machine_without_rapl_says_so(powercap):
    with pytest.raises(DeviceError, match=r"no RAPL counter in .*: virtual machines"):
        energy.Rapl()


def test_counters_that_only_root_may_read_say_so(powercap, monkeypatch):
    zone(powercap, "intel-rapl:0", "package-0", 0)
    counter = energy.Rapl()

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(DeviceError, match=r"no permission to read .*energy_uj: most systems allow it to root alone"):
        counter.joules()


class Driver(SimpleNamespace):
    class NVMLError(Exception): ...

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if handle != "GPU-1":
            raise self.NVMLError("Not Supported")
        return 2500


def test_a_gpus_counter_is_the_drivers(monkeypatch):
    monkeypatch.setattr(nvml, "_driver", Driver)
    assert energy.Nvml("GPU-1").joules() == 2.5


def test_a_gpu_that_the_driver_does_not_count_says_so(monkeypatch):
    monkeypatch.setattr(nvml, "_driver", Driver)
    with pytest.raises(DeviceError, match="the driver does not count this GPU's energy: Not Supported"):
        energy.Nvml("GPU-2").joules()
    monkeypatch.setattr(nvml, "_driver", lambda: None)
    with pytest.raises(DeviceError, match="no NVIDIA driver answers"):
        energy.Nvml("GPU-1").joules()
