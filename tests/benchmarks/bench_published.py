"""How fast operators are compared with their published formulations in PyTorch's own operations, on the CPU.

    python tests/benchmarks/bench_published.py [rounds, 8] [operator ...]

Published are: for the DySample series a grid of 5-D points; for LDA-AQU all k² samples copied out by one grid_sample;
for the others the windows of x (and of keys, and those that a2u filters) unfolded, 1.4 GB here, multiplied and summed.
Both forms share x, the guide and all parameters, and must agree before they are timed.

One thread; both forms are timed in shuffled order in every round, and ratios are taken within a round. The heap is kept
(no page is given back between calls). Peaks are bytes of live tensors beyond inputs and parameters, as multiples of the
output's. Exits 1 where a ratio is above its limit.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

# Its folder is not installed.
sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
from live_storages import peak_bytes
from published_dysample import published as published_dysample

import upsamplers
from upsampler_bench.device import processor
from upsampler_bench.stats import paired_ratio
from upsamplers import Upsampler
from upsamplers.operators.lda_aqu import LDAAQU

BATCH, CHANNELS, SIDE, SCALE = 1, 256, 120, 2
OUTPUT_BYTES = 4 * BATCH * CHANNELS * (SCALE * SIDE) ** 2
ROW = "{:12s} {:20s} {:>9s} {:>12s}  {:22s} {:>6s}  {:>11s}"
Form = Callable[[Upsampler, tuple[Tensor, ...]], Tensor]


def windows(x: Tensor, kernel: int, scale: int) -> Tensor:
    """What each output pixel sees, (B, C, k², sH, sW); zero outside."""
    nearest = F.interpolate(x, scale_factor=float(scale), mode="nearest")  # (B, C, sH, sW)
    columns = F.unfold(nearest, kernel, dilation=scale, padding=scale * (kernel // 2))  # (B, C·k², sH·sW)
    return columns.view(*x.shape[:2], kernel**2, *nearest.shape[2:])


def reassemble(x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2) -> Tensor:
    """`upsamplers.functional.reassemble` on unfold."""
    by_group = windows(x, kernel, scale).unflatten(1, (groups, -1))  # (B, Z, C/Z, k², sH, sW)
    weights = weights.unflatten(1, (groups, 1, -1))  # (B, Z, 1, k², sH, sW)
    return (by_group * weights).sum(3).flatten(1, 2)  # (B, C, sH, sW)


def local_affinity(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2) -> Tensor:
    """`upsamplers.functional.local_affinity` on unfold."""
    return (query.unsqueeze(2) * windows(key, kernel, scale)).sum(1)  # (B, k², sH, sW)


def filter_per_image(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """`upsamplers.functional.filter_per_image` on unfold."""
    side, (tall, wide) = filters.shape[-1], y.shape[2:]
    seen = F.unfold(y, side, padding=side // 2 - 1, stride=2).view(*y.shape[:2], side**2, tall // 2, wide // 2)
    return tuple((seen * kernel.flatten(1)[:, None, :, None, None]).sum(2) for kernel in filters.unbind(1))


def on_unfold(module: Upsampler, inputs: tuple[Tensor, ...]) -> Tensor:
    """The operator, whose file finds the forms on unfold under the names that it imported."""
    file = sys.modules[type(module).__module__]
    forms = {form.__name__: form for form in (reassemble, local_affinity, filter_per_image)}
    with patch.multiple(file, **{name: form for name, form in forms.items() if hasattr(file, name)}):
        out: Tensor = module(*inputs)
    return out


def all_samples(module: Upsampler, inputs: tuple[Tensor, ...]) -> Tensor:
    """LDA-AQU with k² samples of x and of the keys at the size of the output, (B·Z, C/Z, k²·sH, sW)."""
    assert isinstance(module, LDAAQU)
    (x,), hood = inputs, module.hood
    tall, wide = module.scale * x.shape[2], module.scale * x.shape[3]
    normed = module.layer_norm.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    key = module.proj_k(normed)
    query = F.interpolate(module.proj_q(normed), size=(tall, wide), mode="bilinear", align_corners=True)
    moves = module.offsets(query).reshape(-1, hood.points, 2, tall, wide).tanh() * hood.reach
    down, across = hood.steps(moves)
    rows = moves[:, :, 0] + down.view(-1, 1, 1) + torch.arange(tall).view(-1, 1)
    columns = moves[:, :, 1] + across.view(-1, 1, 1) + torch.arange(wide)
    grid = torch.stack((columns / (wide - 1), rows / (tall - 1)), dim=-1) * 2 - 1  # (B·Z, k², sH, sW, 2)
    grid = grid.view(len(grid), -1, wide, 2)

    def sampled(image: Tensor) -> Tensor:
        by_group = image.reshape(-1, image.shape[1] // hood.groups, *image.shape[2:])
        samples = F.grid_sample(by_group, grid, align_corners=True)  # (B·Z, C/Z, k²·sH, sW)
        return samples.view(len(image), -1, hood.points, tall, wide)  # (B, C, k², sH, sW)

    bias = module.relative_position_bias_table.view(hood.points, -1).t()[:, :, None, None]
    logits = ((sampled(key) + bias) * query.unsqueeze(2)).sum(1) / query.shape[1] ** 0.5
    return (sampled(x) * logits.softmax(1).unsqueeze(1)).sum(2)


def five_dimensional(module: Upsampler, inputs: tuple[Tensor, ...]) -> Tensor:
    """The DySample series as published."""
    return published_dysample(module, *inputs)  # type: ignore[arg-type]


# The published form, and the most that ours may take of its time.
PUBLISHED: dict[str, tuple[Form, float]] = {
    **dict.fromkeys(("dysample", "dysample+", "dysample-s", "dysample-s+"), (five_dimensional, 1.1)),
    "lda-aqu": (all_samples, 0.5),
    **dict.fromkeys(("carafe", "a2u", "fade", "fade-lite", "sapa-b"), (on_unfold, 0.25)),
}


def ours(module: Upsampler, inputs: tuple[Tensor, ...]) -> Tensor:
    """The operator as it is."""
    return module(*inputs)  # type: ignore[no-any-return]


def forward(form: Form, module: Upsampler, inputs: tuple[Tensor, ...]) -> Tensor:
    """One forward under inference mode."""
    with torch.inference_mode():
        return form(module, inputs)


def step(form: Form, module: Upsampler, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """One forward and backward, with the output's gradient made inside as in a network."""
    out = form(module, inputs)
    gradient = torch.ones_like(out)
    out.backward(gradient)
    for tensor in (*inputs, *module.parameters()):
        tensor.grad = None
    return out, gradient


def seconds(call: Callable[[], object]) -> float:
    """The duration of one call, the release of its result not included."""
    start = time.perf_counter()
    result = call()
    duration = time.perf_counter() - start
    del result
    return duration


def compare(name: str, rounds: int) -> bool:
    """Prints a row for inference and one for training; whether both ratios are within the limit."""
    torch.manual_seed(0)
    published, limit = PUBLISHED[name]
    module = upsamplers.create(name, CHANNELS, scale=SCALE)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    inputs = tuple(tensor.requires_grad_() for tensor in module.example_inputs(BATCH, SIDE, SIDE))
    agreement = {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(forward(ours, module, inputs), forward(published, module, inputs), **agreement)
    within = True
    for direction, run in (("forward", forward), ("forward + backward", step)):
        calls = [partial(run, form, module, inputs) for form in (ours, published)]
        peaks = [peak_bytes(call) / OUTPUT_BYTES for call in calls]
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for side in random.sample((0, 1), 2):
                samples[side].append(seconds(calls[side]))
        ratio = paired_ratio([[sample] for sample in samples[0]], [[sample] for sample in samples[1]])
        assert ratio is not None
        within &= ratio.value <= limit
        cells = [f"{1e3 * median(side):.1f}" for side in samples]
        interval = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
        in_outputs = f"{peaks[0]:.2f} / {peaks[1]:.2f}"
        print(ROW.format(name, direction, *cells, interval, f"{limit:.2f}", in_outputs), flush=True)
    return within


def main(rounds: int, names: Sequence[str]) -> int:
    """Prints the table; 1 where a ratio is above its limit, else 0."""
    processor.keep_heap()
    torch.set_num_threads(1)
    print(f"x {(BATCH, CHANNELS, SIDE, SIDE)} float32, s={SCALE}, 1 thread; {processor.name()}; {rounds} rounds")
    print(ROW.format("", "", "ours ms", "published ms", "ratio", "limit", "peaks"))
    within = [compare(name, rounds) for name in names or PUBLISHED]
    return int(not all(within))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8, sys.argv[2:]))
