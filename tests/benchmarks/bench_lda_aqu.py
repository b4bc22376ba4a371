"""What LDA-AQU costs on the CPU, beside the form that copies all k² samples out by one grid_sample.

    python tests/benchmarks/bench_lda_aqu.py [rounds, 7] [threads, 2]

Both share x and weights; each round times both, one after the other, and ratios are taken within a round.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

# Its folder is not installed.
sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
from live_storages import peak_bytes

import upsamplers
from upsamplers.operators.lda_aqu import LDAAQU

SHAPE = (1, 256, 120, 120)


def copied(module: LDAAQU, x: Tensor) -> Tensor:
    """The operator with k² samples of x and of the keys at the size of the output, (B·Z, C/Z, k²·sH, sW)."""
    hood, size = module.hood, (module.scale * x.shape[2], module.scale * x.shape[3])
    normed = module.layer_norm.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    key = module.proj_k(normed)
    query = F.interpolate(module.proj_q(normed), size=size, mode="bilinear", align_corners=True)
    grid = grids(module.offsets(query), module)

    def sampled(image: Tensor) -> Tensor:
        by_group = image.reshape(-1, image.shape[1] // hood.groups, *image.shape[2:])
        found = F.grid_sample(by_group, grid, align_corners=True)  # (B·Z, C/Z, k²·sH, sW)
        return found.view(len(image), -1, hood.points, *size)  # (B, C, k², sH, sW)

    bias = module.relative_position_bias_table.view(hood.points, -1).t()[:, :, None, None]
    logits = ((sampled(key) + bias) * query.unsqueeze(2)).sum(1) / query.shape[1] ** 0.5
    return (sampled(x) * logits.softmax(1).unsqueeze(1)).sum(2)


def grids(offsets: Tensor, module: LDAAQU) -> Tensor:
    """Where the points are read, (B·Z, k²·sH, sW, 2)."""
    hood, (tall, wide) = module.hood, offsets.shape[2:]
    moves = offsets.reshape(-1, hood.points, 2, tall, wide).tanh() * hood.reach
    down, across = hood.steps(moves)
    y = moves[:, :, 0] + down.view(-1, 1, 1) + torch.arange(tall).view(-1, 1)
    x = moves[:, :, 1] + across.view(-1, 1, 1) + torch.arange(wide)
    grid = torch.stack((x / (wide - 1), y / (tall - 1)), dim=-1) * 2 - 1  # (B·Z, k², sH, sW, 2)
    return grid.view(len(grid), -1, wide, 2)


def seconds(call: Callable[[], object]) -> float:
    """What one call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> None:
    """Prints medians, the median ratio and the peaks."""
    output = 4 * SHAPE[1] * 4 * SHAPE[2] * SHAPE[3]
    peaks = [peak_bytes(one) / output for one in (ours, theirs)]
    taken = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    medians = [1e3 * statistics.median(column) for column in zip(*taken, strict=True)]
    ratio = statistics.median(other / own for own, other in taken)
    print(
        f"{what:20s} ours {medians[0]:7.0f} ms, copied {medians[1]:7.0f} ms, {ratio:5.1f} times as long; "
        f"peaks {peaks[0]:.2f} and {peaks[1]:.2f} outputs"
    )


def main(rounds: int, threads: int) -> None:
    """Prints one line for inference and one for training."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    module = upsamplers.create("lda-aqu", SHAPE[1])
    assert isinstance(module, LDAAQU)
    with torch.no_grad():
        for one in module.conv_offset.parameters():
            one.add_(0.05 * torch.randn_like(one))
    x = torch.randn(SHAPE)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), copied(module, x), rtol=1e-3, atol=1e-3)
        compare("inference", lambda: module(x), lambda: copied(module, x), rounds)
    leaf = x.clone().requires_grad_()

    def step(call: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        out = call(leaf)
        grad = torch.ones_like(out)
        out.backward(grad)
        return out, grad

    compare("forward and backward", lambda: step(module), lambda: step(lambda one: copied(module, one)), rounds)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    main(int(arguments.get(1, 7)), int(arguments.get(2, 2)))
