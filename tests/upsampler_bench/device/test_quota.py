"""CPU quotas and memory limits of control groups, and what goes by them."""

import psutil
import pytest
import torch
from fake_cgroup import FakeCgroup

from upsampler_bench import device
from upsampler_bench.case import Settings
from upsampler_bench.device import doctor, environment, processor, quota
from upsampler_bench.runner import worker

GIB = 2**30


@pytest.fixture(params=[1, 2])
def cgroup(request, tmp_path, monkeypatch):
    return FakeCgroup(tmp_path, request.param, monkeypatch)


def test_the_tightest_quota_of_the_enclosing_groups_counts(cgroup):
    cgroup.cpu(150_000)
    assert quota.cores() == 1.5
    cgroup.cpu(50_000, group="outer")
    assert quota.cores() == 0.5
    cgroup.cpu(None, group="outer")
    cgroup.cpu(None)
    assert quota.cores() is None


def test_periods_are_counted_in_which_any_enclosing_group_was_throttled(cgroup):
    cgroup.cpu(50_000, throttled=3)
    cgroup.cpu(80_000, throttled=4, group="outer")
    assert quota.throttled_periods() == 7


def test_a_container_sees_its_own_group_as_the_mounted_one(tmp_path, monkeypatch):
    FakeCgroup(tmp_path, "container", monkeypatch).cpu(50_000, throttled=3)
    assert (quota.cores(), quota.throttled_periods()) == (0.5, 3)


def test_a_group_outside_of_the_mounted_one_leads_nowhere_else(tmp_path, monkeypatch):
    FakeCgroup(tmp_path, 2, monkeypatch).cpu(50_000, group="")
    (tmp_path / "cgroup").write_text("0::/../../elsewhere")
    assert quota.cores() == 0.5


def test_a_system_without_control_groups_has_no_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(quota, "GROUPS", tmp_path / "none")
    assert (quota.cores(), quota.throttled_periods(), quota.memory_limit()) == (None, 0, None)
    assert quota.available_memory() > 0


def test_available_memory_is_what_the_tightest_limit_leaves_with_the_cache_that_can_be_dropped(cgroup, monkeypatch):
    memory = psutil.virtual_memory()._replace(total=64 * GIB, available=20 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    cgroup.memory(None, 30 * GIB, 0, group="outer")
    cgroup.memory(4 * GIB, 3 * GIB, 2 * GIB)
    assert (quota.memory_limit(), quota.available_memory()) == (4 * GIB, 3 * GIB)
    cgroup.memory(None, 3 * GIB, 2 * GIB)
    assert (quota.memory_limit(), quota.available_memory()) == (None, 20 * GIB)


def test_a_process_may_allocate_nine_tenths_of_what_is_free_within_the_limit_or_what_a_run_says(cgroup, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: limits.append((kind, limit[0])))
    cgroup.memory(GIB, GIB // 2, 0)
    worker._limit_memory(0)
    worker._limit_memory(123)
    assert limits == [(resource.RLIMIT_DATA, int(0.9 * GIB / 2)), (resource.RLIMIT_DATA, 123)]


def test_threads_and_cores_go_by_the_quota_and_by_the_cores_that_are_allowed(cgroup, monkeypatch):
    monkeypatch.setattr(processor, "cores", lambda: tuple(range(8)))
    assert (processor.threads(0), processor.threads(3)) == (8, 3)
    for microseconds, cores, threads in ((250_000, 2.5, 2), (50_000, 0.5, 1), (1_600_000, 8, 8)):
        cgroup.cpu(microseconds)
        assert (processor.usable_cores(), processor.threads(0)) == (cores, threads)


def test_zero_threads_are_as_many_as_the_quota_lets_run(cgroup, monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(processor, "cores", lambda: tuple(range(8)))
    cgroup.cpu(250_000)
    cpu = device.create("cpu", Settings(malloc="default", threads=0))
    assert cpu.timing_method().startswith("perf_counter around single calls, 2 threads")
    assert environment.capture(cpu).machine["cores"] == "2.5"
    torch.set_num_threads(before)


def test_a_run_in_which_throttled_periods_rose_is_throttled(cgroup, monkeypatch):
    cgroup.cpu(50_000, throttled=7)
    monitor = environment.ConditionMonitor(dict)
    assert monitor.throttled == ""
    assert "throttled" not in monitor.summary()
    cgroup.cpu(50_000, throttled=9)
    assert monitor.throttled == "CPU quota of 0.5 cores"
    assert monitor.summary()["throttled"] == "CPU quota of 0.5 cores"
    assert monitor.summary()["throttled_periods"] == 2


def test_the_doctor_names_the_quota_and_advises_if_the_threads_exceed_it(cgroup, monkeypatch):
    monkeypatch.setattr(processor, "cores", lambda: tuple(range(8)))

    def finding(check):
        return next(finding for finding in doctor.examine("cpu") if finding.check == check)

    assert (finding("CPU quota").value, finding("CPU quota").advice) == ("none", "")
    cgroup.cpu(50_000, throttled=3)
    assert finding("CPU quota").value == "0.5 cores, throttled in 3 periods so far"
    assert finding("CPU quota").advice.startswith("raise it")
    assert finding("threads").value == "1 on 0.5 cores"
    cgroup.cpu(400_000)
    assert finding("CPU quota").advice == ""


def test_the_doctor_names_the_memory_limit(cgroup):
    cgroup.memory(2 * GIB, GIB, 0)
    free = next(finding for finding in doctor.examine("cpu") if finding.check == "free memory")
    assert free.value == "1.0 GiB within a limit of 2.0 GiB"
    assert free.advice == "large shapes may not fit"
