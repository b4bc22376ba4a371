"""Tensor memory equals the hand count to the byte, for real and for fake tensors."""

from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import upsamplers
from upsampler_bench.device.tensor_memory import LiveStorages

C, H, W = 256, 120, 120
X = C * H * W * 4
OUT = 4 * X
POINTS = 2 * 4 * 4 * H * W * 4  # x and y of 4 groups' 4 points an input pixel, float32


def peaks(name, fake):
    with FakeTensorMode() if fake else nullcontext():
        module, x = upsamplers.create(name, C), torch.randn(1, C, H, W)
        with torch.inference_mode(), LiveStorages() as forward:
            module(x)
        x.requires_grad_()
        with LiveStorages() as both:
            out = module(x)
            both.mark()
            out.backward(torch.ones_like(out))
    return forward.peak, both.marked, both.peak


@pytest.mark.parametrize("fake", [False, True], ids=["real", "fake"])
@pytest.mark.parametrize(
    ("name", "forward", "saved", "backward"),
    [
        # Backward: the output, its gradient, and x's gradient.
        ("nearest", OUT, OUT, 2 * OUT + X),
        ("bilinear", OUT, OUT, 2 * OUT + X),
        # As bilinear, and the gradients of weight and bias.
        ("deconv", OUT, OUT, 2 * OUT + X + C * C * 9 * 4 + C * 4),
        # Forward: the output, the points read, and, still alive, the points before the pixel shuffle.
        # Backward: the output and its gradient; x's gradient through the samples, through the offsets, and their sum;
        # the gradients of weight and bias.
        ("dysample", OUT + 2 * POINTS, OUT + POINTS, 2 * OUT + 3 * X + (32 * C + 32) * 4),
    ],
)
def test_peaks_equal_the_hand_count(name, forward, saved, backward, fake):
    assert peaks(name, fake) == (forward, saved, backward)


def test_views_and_what_existed_before_are_not_counted():
    old = torch.randn(1000)
    with LiveStorages() as storages:
        new = old + 1
        new.view(10, 100)[0].add_(1)
        old.mul_(2)
    assert storages.peak == 4000


def test_freed_storages_are_subtracted():
    with LiveStorages() as storages:
        for _ in range(3):
            torch.zeros(250)
        assert storages.live == 0
        kept = torch.zeros(250)
    assert (storages.peak, kept.numel()) == (1000, 250)


def test_what_is_alive_at_the_peak_is_known_by_the_operation_that_made_it():
    with LiveStorages() as storages:
        small = torch.zeros(250)
        large = small.repeat(4)
        del small
        large.add(1)
    assert (storages.allocations, storages.operations, storages.peak) == (3, 3, 8000)
    assert storages.at_peak == {2: 4000, 3: 4000}


def test_a_compile_that_failed_before_changes_no_count():
    def halved(x):
        x = x.sum(0)  # frees the argument
        return torch.cat((x, x))

    def run():
        return halved(torch.zeros(4, 100))

    broken = torch.compile(lambda x: float(x.sum()) and torch._dynamo.graph_break(), fullgraph=True, backend="eager")
    with pytest.raises(RuntimeError), torch.no_grad():
        broken(torch.ones(3))
    with LiveStorages() as live:
        run()
    assert live.peak == 400 * 4 + 100 * 4
