"""What the control groups of this process, such as a container's, allow it: cores and memory (cgroup v1 and v2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

# The groups of this process by controller, and where their folders are mounted.
GROUPS, MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")
V2 = "cgroup2"


def cores() -> float | None:
    """CPU seconds per second that the tightest quota allows, such as 0.5; None without a quota."""
    quotas = [quota for group in _groups("cpu") if (quota := _quota(group)) is not None]
    return min(quotas, default=None)


def throttled_periods() -> int:
    """In how many periods so far a quota has stopped the processes that it is for."""
    return sum(_statistics(group / "cpu.stat").get("nr_throttled", 0) for group in _groups("cpu"))


def memory_limit() -> int | None:
    """Bytes that the tightest limit allows; None if all memory of the machine is allowed."""
    limit = min((limit for limit, _ in _memory()), default=None)
    return limit if limit is not None and limit < psutil.virtual_memory().total else None


def available_memory() -> int:
    """Bytes that can still be allocated: of the machine, and within every limit."""
    free = [limit - used for limit, used in _memory()]
    return max(0, min([psutil.virtual_memory().available, *free]))


def _quota(group: Path) -> float | None:
    """A group's cores; v2 has quota and period (µs) in one file, v1 in two."""
    v1 = f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
    texts = (_read(group / "cpu.max") or v1).split()
    if len(texts) != 2 or not all(text.isdecimal() for text in texts):  # "max" in v2, -1 in v1
        return None
    quota, period = map(int, texts)
    return quota / period


def _memory() -> Iterator[tuple[int, int]]:
    """Of each limited group: its limit, and what is used of it without the file cache that the system can drop."""
    for group in _groups("memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit.isdecimal() and used.isdecimal():
            statistics = _statistics(group / "memory.stat")
            cache = statistics.get("total_inactive_file", statistics.get("inactive_file", 0))
            yield int(limit), int(used) - cache


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the groups that this process is in, innermost first; each of them restricts it."""
    for line in _read(GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for root, mount in _mounts(controller if controllers else V2):
            # A container may see its own group as the mounted one, under another path than the system's.
            is_inside = Path(path).is_relative_to(root) and ".." not in path
            folder = mount / Path(path).relative_to(root) if is_inside else mount
            yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(mount)))


def _mounts(controller: str) -> Iterator[tuple[str, Path]]:
    """Of a controller's hierarchy (or that of v2), the group that is mounted, and where."""
    for line in _read(MOUNTS).splitlines():
        mounted, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        if kind == V2 == controller or (kind == "cgroup" and controller in options.split(",")):
            root, mount = mounted.split()[3:5]
            yield root, Path(mount)


def _statistics(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _read(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
