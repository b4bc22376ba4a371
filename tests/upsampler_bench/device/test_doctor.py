"""The findings of the doctor, the environment, and a device's conditions while it runs."""

import time

import psutil
import pytest
from fake_device import FakeDevice

from upsampler_bench import device
from upsampler_bench.case import Settings
from upsampler_bench.device import doctor, environment
from upsampler_bench.errors import DeviceError


def findings(monkeypatch, load):
    monkeypatch.setattr("psutil.getloadavg", lambda: (load, load, load))
    return {finding.check: finding for finding in doctor.examine("cpu")}


def test_only_a_busy_machine_gets_advice_about_its_load(monkeypatch):
    assert findings(monkeypatch, 0.0)["load"].advice == ""
    assert "only ratios can be trusted" in findings(monkeypatch, 99.0)["load"].advice


def test_openmp_variables_are_found(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" in findings(monkeypatch, 0.0)["OpenMP variables"].value


def test_another_distribution_called_pynvml_is_advised_against(monkeypatch):
    monkeypatch.setattr(doctor, "installed_version", lambda package: "1.0")
    assert "pip uninstall pynvml" in findings(monkeypatch, 0.0)["NVML binding"].advice


def test_names_of_devices_are_resolved_or_refused():
    assert device.resolve("cpu") == "cpu"
    assert device.resolve("auto") in ("cpu", "cuda:0")
    for wrong in ("gpu", "cuda:x", "cuda:99", ""):
        with pytest.raises(DeviceError):
            device.resolve(wrong)


def test_the_environment_has_the_device_the_versions_and_the_conditions():
    captured = environment.capture(FakeDevice())
    assert (captured.device_name, captured.device_kind, captured.slug) == ("Fake 1000", "fake", "fake-1000")
    assert captured.versions["torch"]
    assert captured.machine["heap"] == "fake heap"
    assert captured.conditions[0]["at"] == "start"


def test_a_monitor_keeps_extremes_and_reasons_for_throttling():
    readings = iter([{"clock": 5.0, "throttled": ""}, {"clock": 3.0, "throttled": "power cap, power brake"}])
    last = {"clock": 9.0}
    with environment.ConditionMonitor(lambda: next(readings, last)) as monitor:
        time.sleep(0.5)
    summary = monitor.summary()
    assert (summary["clock_min"], summary["clock_max"]) == (3.0, 9.0)
    assert summary["throttled"] == "power brake, power cap"


def test_the_cpu_times_each_call_and_names_its_threads():
    cpu = device.create("cpu", Settings(malloc="default", threads=1))
    timings = cpu.time(lambda: sum(range(1000)), 5)
    assert len(timings.device) == 5
    assert min(timings.device) > 0
    assert cpu.timing_method() == "perf_counter around single calls, 1 thread, default heap"
    device.create("cpu", Settings(malloc="default"))


def test_the_time_of_other_processes_counts_at_every_priority(monkeypatch):
    times = psutil.cpu_times(percpu=True)
    before = environment.seconds_of_others()
    for priority in ("user", "nice", "system"):
        later = [core._replace(**{priority: getattr(core, priority) + 1000}) for core in times]
        monkeypatch.setattr(psutil, "cpu_times", lambda percpu, later=later: later)
        assert environment.seconds_of_others() - before > 900


def test_the_time_of_others_counts_on_the_cores_that_this_process_may_use(monkeypatch):
    core = psutil.cpu_times(percpu=True)[0]
    busy = core._replace(user=core.user + 1000)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [core, busy])
    monkeypatch.setattr(environment, "cores", lambda: (0,))
    alone = environment.seconds_of_others()
    monkeypatch.setattr(environment, "cores", lambda: (1,))
    assert environment.seconds_of_others() - alone > 900
