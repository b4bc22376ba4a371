"""Max unpooling by a Triton kernel is the scatter of the PyTorch form, for indices inside and outside their windows."""

import pytest
import torch
from triton_pairs import DEVICE, marks, unwritten_shows

import upsamplers

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]


def both(x, guide, scale):
    """Output and gradient of x on either backend."""
    results = []
    for backend in ("triton", "torch"):
        leaf = x.detach().requires_grad_()
        out = upsamplers.create("max-unpool", x.shape[1], scale=scale, backend=backend)(leaf, guide)
        torch.manual_seed(1)
        results.append((out, *torch.autograd.grad(out, leaf, torch.randn(out.shape, device=DEVICE).to(out.dtype))))
    return zip(*results, strict=True)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_maxima_are_placed_where_they_were(scale, layout):
    torch.manual_seed(0)
    feature = torch.randn(2, 5, 3 * scale, 7 * scale, device=DEVICE).contiguous(memory_format=layout)
    guide = upsamplers.create("max-unpool", 5, scale=scale).make_guide(feature)
    x = torch.randn(2, 5, 3, 7, device=DEVICE).contiguous(memory_format=layout)
    (unpooled, expected), gradients = both(x, guide, scale)
    assert torch.equal(unpooled, expected)
    assert torch.equal(*gradients)
    assert unpooled.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_indices_may_lie_anywhere_in_the_image(dtype):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, 5, device=DEVICE).to(dtype)
    guide = torch.stack([torch.randperm(80)[:20] for _ in range(3)]).view(1, 3, 4, 5).to(DEVICE)
    for unpooled, expected in both(x, guide, 2):
        assert torch.equal(unpooled, expected)


def test_larger_windows_than_a_program_holds_are_refused():
    up = upsamplers.create("max-unpool", 2, scale=16, backend="triton")
    x, guide = torch.randn(1, 2, 2, 2, device=DEVICE), torch.randn(1, 2, 32, 32, device=DEVICE)
    with pytest.raises(upsamplers.Unsupported, match="takes scales up to 8, not 16"):
        up(x, up.make_guide(guide))
