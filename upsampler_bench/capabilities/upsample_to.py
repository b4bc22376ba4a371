"""Whether an odd level of a feature pyramid can be met: 13 pixels beside 25."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsampler_bench.capabilities import NotApplicable, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import LAYOUTS, Workload

SIZE = (13, 7)
INFO = _probing.info(
    "upsample_to",
    "to odd",
    206,
    "beside() brings 13×7 pixels to an encoder feature a row and a column short of s times that (25×13 at s = 2), "
    "with the values of the whole output.",
)
INFOS = (INFO,)
METHOD = "one forward beside a feature, held against the whole output"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Holds the output beside an odd level against the cropped output beside a whole one."""
    case, (height, width) = workload.case, SIZE
    if case.scale == 1:
        raise NotApplicable("at scale 1 every level has the size of x")
    built = _probing.variant(workload, height=height, width=width)
    x, module = built.inputs[0], built.module
    feature = _feature(built)
    wanted = {"output": _whole(built, feature)[..., : feature.shape[2], : feature.shape[3]]}
    with torch.no_grad():
        found = {"output": module.upsample_to(x, feature)}  # type: ignore[operator]
    return _probing.yes(
        INFO, METHOD, error=_probing.hold(found, wanted, _probing.rounding(workload), "the cropped output")
    )


def _feature(built: Workload) -> Tensor:
    """An encoder feature (B, C, sH - 1, sW - 1)."""
    case = built.case
    size = (case.scale * case.height - 1, case.scale * case.width - 1)
    drawn = torch.randn(case.batch, case.channels, *size, generator=torch.Generator().manual_seed(1))
    return drawn.to(built.inputs[0]).contiguous(memory_format=LAYOUTS[case.layout])


def _whole(built: Workload, feature: Tensor) -> Tensor:
    """The output (B, C, sH, sW), guided by the feature padded to that size."""
    x, *guide = built.inputs
    with torch.no_grad():
        if guide:
            guide = [built.module.make_guide(F.pad(feature, (0, 1, 0, 1), mode="replicate"))]  # type: ignore[operator]
        out: Tensor = built.module(x, *guide)
        return out
