"""Counters of energy: of a GPU by its driver, of a CPU by RAPL."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from upsampler_bench.device import nvml
from upsampler_bench.errors import DeviceError

POWERCAP = Path("/sys/class/powercap")
MICROJOULE = 1e-6


class EnergyCounter(Protocol):
    """Counts the energy that a device uses.

    Attributes:
        method: what is counted, for readers.
    """

    method: str

    def joules(self) -> float:
        """Energy since some moment in the past (J).

        Raises:
            DeviceError: it cannot be read.
        """


@dataclass(frozen=True)
class Nvml:
    """The driver's counter of a GPU, without the host: since the driver was loaded, of Volta and newer."""

    uuid: str
    method = "NVML's total-energy counter of the GPU"

    def joules(self) -> float:
        """The counter now."""
        return nvml.joules(self.uuid)


@dataclass
class Rapl:
    """The counters of all processors and their memory, whoever used them."""

    method = "RAPL counters of all processors and their memory"
    _zones: tuple[Path, ...] = field(default_factory=lambda: tuple(_zones()))
    _last: dict[Path, int] = field(default_factory=dict)
    _total: int = 0

    def joules(self) -> float:
        """The sum of the counters since the first reading; each may overflow once between two readings."""
        for zone in self._zones:
            now = _read(zone / "energy_uj")
            since = now - self._last.get(zone, now)
            self._total += since if since >= 0 else since + _read(zone / "max_energy_range_uj")
            self._last[zone] = now
        return self._total * MICROJOULE


def _zones() -> list[Path]:
    """The zones that do not contain one another: packages, and memory that is counted apart from them."""
    zones = []
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):  # AMD's processors have the same name
        name = (zone / "name").read_text(encoding="utf-8").strip()
        if name.startswith("package-") or name == "dram":
            zones.append(zone)
    if not zones:
        raise DeviceError(f"no RAPL counter in {POWERCAP}: virtual machines and processors other than x86 have none")
    return zones


def _read(file: Path) -> int:
    try:
        return int(file.read_text(encoding="utf-8"))
    except PermissionError as problem:
        raise DeviceError(f"no permission to read {file}: most systems allow it to root alone") from problem
    except OSError as problem:
        raise DeviceError(f"cannot read {file}: {problem.strerror}") from problem
