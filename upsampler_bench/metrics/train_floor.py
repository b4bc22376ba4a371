"""The floor of one forward and backward: the least time that any implementation takes on this device.

Bytes: those of the forward; then the output's gradient is read, and the gradients of all inputs and parameters that
take one are written. In between the rest of a network runs, so nothing stays in a cache: what backward needs of the
inputs it reads again. In an operator with parameters the gradient of these is a product with the inputs; all of them
are counted once more. One without is charged only for inputs that take no gradient (indices say where to put it).

Multiply-adds: each product of the forward has a gradient to either side, as many multiply-adds each, so it counts three
times; but twice where one side is fixed: in interpolation by a fixed rule, and everywhere in an operator without
parameters. (That is a little less than the truth where such an operator weighs its input by its input, and a little
more where one with parameters multiplies by a constant: no operator here does so in a part that matters.)

What else holds is said in `floor`.
"""

from __future__ import annotations

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.metrics import _least, floor, flops
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workload import Workload

INFO = MetricInfo(
    "train_floor",
    "Training floor",
    "s",
    TRAIN,
    bounds="train_latency",
    place=31,
    description="Least time of one forward and backward: as the floor of the forward, then the output's gradient and "
    "(where there are parameters) the inputs read and all gradients written; products counted three times, those of "
    "fixed interpolation twice.",
)
INFOS = (INFO,)
KINDS = ("operator",)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts the least work, and measures the device's rates where this process has not yet."""
    return (_least.reading(INFO, least(workload), workload.inputs[0].dtype, device),)


def least(workload: Workload) -> _least.Least:
    """The least work of one forward and backward."""
    forward, parameters = floor.least(workload), tuple(workload.module.parameters())
    written = [one for one in (*workload.inputs, *parameters) if one.requires_grad]
    again = [one for one in workload.inputs if parameters or not one.requires_grad]
    moved = _least.output_size(workload) + _least.size(written) + _least.size(again)
    with_gradients = flops.of(workload).by_convention["learned"] if parameters else 0
    return _least.Least(forward.bytes + moved, 2 * forward.macs + with_gradients, forward.uncounted)
