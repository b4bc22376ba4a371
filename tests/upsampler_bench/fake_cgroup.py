"""Control groups in files of a test: as cgroup v1 and v2 show them, and as a container sees its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from upsampler_bench.device import quota

# What the kernel shows for "no limit" in v1.
UNLIMITED = 2**63 - 4096


class FakeCgroup:
    """The process is in the group "inner" of the group "outer".

    Args:
        folder: where the files are.
        version: 1, 2, or "container": v2 with the inner group alone mounted, under its path on the system.
    """

    def __init__(self, folder: Path, version: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._version = folder, version
        controllers = ("cpu,cpuacct", "memory") if version == 1 else ("",)
        root = "/outer/inner" if version == "container" else "/"
        groups, mounts = ["7:name=systemd:/elsewhere"], ["24 27 0:6 / /dev rw - devtmpfs devtmpfs rw,mode=755"]
        for number, names in enumerate(controllers):
            groups.append(f"{number}:{names}:/outer/inner")
            kind = f"cgroup cgroup rw,{names}" if names else "cgroup2 cgroup2 rw"
            mounts.append(f"3{number} 31 0:29 {root} {folder / (names or 'unified')} rw,relatime shared:9 - {kind}")
        (folder / "cgroup").write_text("\n".join(groups))
        (folder / "mountinfo").write_text("\n".join(mounts))
        monkeypatch.setattr(quota, "GROUPS", folder / "cgroup")
        monkeypatch.setattr(quota, "MOUNTS", folder / "mountinfo")

    def cpu(self, quota: int | None, throttled: int = 0, group: str = "outer/inner") -> None:
        """Sets a group's quota (µs in 100 ms), and how often it was throttled."""
        if self._version == 1:
            self._write("cpu,cpuacct", group, "cpu.cfs_quota_us", str(-1 if quota is None else quota))
            self._write("cpu,cpuacct", group, "cpu.cfs_period_us", "100000")
            self._write("cpu,cpuacct", group, "cpu.stat", f"nr_periods 99\nnr_throttled {throttled}\nthrottled_time 7")
        else:
            self._write("unified", group, "cpu.max", f"{'max' if quota is None else quota} 100000")
            self._write("unified", group, "cpu.stat", f"usage_usec 9\nnr_throttled {throttled}\nthrottled_usec 7")

    def memory(self, limit: int | None, used: int, cache: int, group: str = "outer/inner") -> None:
        """Sets a group's limit, what is used of it (bytes), and how much of that is file cache."""
        if self._version == 1:
            self._write("memory", group, "memory.limit_in_bytes", str(limit or UNLIMITED))
            self._write("memory", group, "memory.usage_in_bytes", str(used))
            self._write("memory", group, "memory.stat", f"inactive_file 0\ntotal_inactive_file {cache}")
        else:
            self._write("unified", group, "memory.max", str(limit or "max"))
            self._write("unified", group, "memory.current", str(used))
            self._write("unified", group, "memory.stat", f"anon 1\ninactive_file {cache}")

    def _write(self, controller: str, group: str, name: str, text: str) -> None:
        folder = self._folder / controller / ("" if self._version == "container" else group)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
