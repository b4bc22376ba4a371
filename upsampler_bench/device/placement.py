"""Where measuring processes run that work side by side: one per device, each with host cores of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from upsampler_bench.device import nvml, processor
from upsampler_bench.errors import DeviceError
from upsampler_bench.units import counted

ACCEPTED = "expected GPUs such as 0,1 or all, or cores such as cpu:0,cpu:1"


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, and what its measuring process may use of the host.

    Attributes:
        name: "cuda:3", as torch counts here, or "cpu:1" for one core; empty: of no run on several devices.
        uuid: of a GPU, the only one that the process sees.
        cores: of the host, the only ones that it runs on; empty: any.
    """

    name: str = ""
    uuid: str = ""
    cores: tuple[int, ...] = ()

    @property
    def device(self) -> str:
        """What the device is called in cases: the process sees no other of its kind."""
        return "cuda:0" if self.uuid else "cpu"


ANYWHERE = Placement()


def parse(text: str) -> tuple[Placement, ...]:
    """The devices of "0,1", "all" or "cpu:0,cpu:1", each with its host cores.

    Raises:
        DeviceError: there is no such device, one is named twice, or they are not of one model.
    """
    if text == "all":
        names = [f"cuda:{index}" for index in range(gpu_count())]
        if not names:
            raise DeviceError(f"--devices all: this machine has no CUDA GPU; {ACCEPTED}")
    else:
        parts = [part.rpartition(":") for part in text.replace(" ", "").split(",")]
        names = [f"{kind if colon else 'cuda'}:{int(i)}" if i.isdecimal() else i for kind, colon, i in parts]
    for name in names:
        if names.count(name) > 1:
            raise DeviceError(f"--devices {text}: {name} is named twice; a device measures one condition at a time")
    kinds = {name.partition(":")[0] for name in names}
    if len(kinds) != 1 or not kinds <= {"cpu", "cuda"} or not all(name.partition(":")[2].isdecimal() for name in names):
        raise DeviceError(f"--devices is {text!r}; {ACCEPTED}")
    return _cores(names) if kinds == {"cpu"} else _gpus(names)


def warnings(placements: Sequence[Placement]) -> list[str]:
    """What a user must know of these devices: what GPUs share, and how few host cores there are for each."""
    names = {one.uuid: one.name for one in placements if one.uuid}
    found = [f"{names[a]} and {names[b]} share {what}: one may slow the other" for a, b, what in nvml.shared([*names])]
    cores = [core for one in placements for core in one.cores]
    if len(set(cores)) < len(cores):
        found.append(f"{len(placements)} devices share {len(set(cores))} host cores: launch times are disturbed")
    return found


def cores_in_words(placement: Placement) -> str:
    """E.g. "cuda:1 with host cores 8-15"."""
    cores = placement.cores
    if placement.device == "cpu":
        return f"{placement.name} with one thread"
    is_range = len(cores) > 1 and cores == tuple(range(cores[0], cores[-1] + 1))
    return f"{placement.name} with host cores {f'{cores[0]}-{cores[-1]}' if is_range else ', '.join(map(str, cores))}"


def _cores(names: Sequence[str]) -> tuple[Placement, ...]:
    allowed = processor.cores()
    placements = tuple(Placement(name, cores=(int(name.removeprefix("cpu:")),)) for name in names)
    for placement in placements:
        if placement.cores[0] not in allowed:
            numbers = ", ".join(map(str, allowed))
            raise DeviceError(f"no device {placement.name!r}: this process may run on cores {numbers}")
    return placements


def _gpus(names: Sequence[str]) -> tuple[Placement, ...]:
    count = gpu_count()
    for name in names:
        if int(name.removeprefix("cuda:")) >= count:
            raise DeviceError(f"no device {name!r}: this machine has {counted(count, 'CUDA GPU')}; {ACCEPTED}")
    properties = [torch.cuda.get_device_properties(torch.device(name)) for name in names]
    models = dict(zip(names, (str(one.name) for one in properties), strict=True))
    if len(set(models.values())) > 1:
        listed = ", ".join(f"{name} is {model}" for name, model in models.items())
        raise DeviceError(f"--devices must be of one model: {listed}; measure each model in a run of its own")
    placements = [Placement(name, nvml.uuid(one)) for name, one in zip(names, properties, strict=True)]
    for placement in placements:
        if nvml.driver_version() and nvml.index(placement.uuid) is None:
            raise DeviceError(
                f"--devices {placement.name}: the driver does not know it as a whole GPU; parts of one (MIG) are "
                "measured by --device"
            )
    return _with_host_cores(placements)


def _with_host_cores(placements: Sequence[Placement]) -> tuple[Placement, ...]:
    """An equal share of this process's cores for each GPU, those nearest to it first; one core is left for the rest."""
    free = list(processor.cores())
    share = (len(free) - 1) // len(placements)
    if not share:
        return tuple(replace(placement, cores=tuple(free)) for placement in placements)
    placed = []
    for placement in placements:
        near = nvml.near_cores(placement.uuid, max(processor.cores()) + 1)
        chosen = sorted(sorted(free, key=lambda core: (core not in near, core))[:share])
        free = [core for core in free if core not in chosen]
        placed.append(replace(placement, cores=tuple(chosen)))
    return tuple(placed)


def gpu_count() -> int:
    """How many GPUs can be used; torch counts those of a driver that cannot, too."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
