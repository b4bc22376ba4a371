"""Whether the operator upsamples to the size of an odd level of a feature pyramid: 13 pixels to 25."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from upsampler_bench.capabilities import NotApplicable, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload, guide_of
from upsamplers import Upsampler

HEIGHT, WIDTH = 13, 9
INFO = _probing.info(
    "upsample_to",
    "to odd",
    206,
    "upsample_to() brings 13×9 pixels to the size of an encoder feature one row and one column smaller than s times "
    "that (25×17 at s = 2), with the values of the full output.",
)
INFOS = (INFO,)
METHOD = "one upsample_to, compared with the cropped full output"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares the output for an odd level with the cropped output for that level padded to s times x."""
    case = workload.case
    if case.scale == 1:
        raise NotApplicable("at scale 1 every level has the size of x")
    built = _probing.variant(workload, height=HEIGHT, width=WIDTH)
    module, (x, *guide) = built.module, built.inputs
    assert isinstance(module, Upsampler)
    height, width = case.scale * HEIGHT - 1, case.scale * WIDTH - 1
    generator = torch.Generator().manual_seed(1)
    feature = torch.randn(case.batch, case.channels, height, width, generator=generator)  # (B, C, sH - 1, sW - 1)
    feature = guide_of(feature.to(x), module, case)
    with torch.no_grad():
        if guide:
            padded = F.pad(feature, (0, 1, 0, 1), mode="replicate")  # (B, C, sH, sW)
            guide = [module.make_guide(padded)]
        expected = module(x, *guide)[..., :height, :width]
        out = module.upsample_to(x, feature)
    error = _probing.error(out, expected, _probing.tolerance(workload), "the cropped output")
    return _probing.yes(INFO, METHOD, error=error)
