"""SAPA-D compared with a reading of every point, corner by corner; what it costs and refuses."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, perturbed, worst
from live_storages import assert_peaks
from naive_operators import bilinear_reads

import upsamplers
from upsamplers import Unsupported
from upsamplers.functional import selected_points


def built(channels=8, guide_channels=6, **options):
    options = {"embedding_channels": 3, "groups": 2, "points": 4, **options}
    return perturbed("sapa-d", channels, by=0.3, guide_channels=guide_channels, **options)


def naive(up, x, y):
    s, groups = up.scale, up.groups
    normed_x, normed_y = (x, y) if up.norm_x is None else (up.norm_x(x), up.norm_y(y))
    query, key, offset = up.q(normed_y), up.k(normed_x), up.offset(normed_x)
    if up.high_offset:
        offset = F.pixel_shuffle(offset, s)
    else:
        offset = offset.repeat_interleave(s, 2).repeat_interleave(s, 3)
    offset = offset.unflatten(1, (groups, -1, 2))  # (B, Z, P, 2, sH, sW)
    rows = torch.arange(y.shape[2]).div(s, rounding_mode="floor").view(-1, 1)
    columns = torch.arange(y.shape[3]).div(s, rounding_mode="floor")
    out = []
    for group, (q, k, v) in enumerate(zip(*(t.chunk(groups, 1) for t in (query, key, x)), strict=True)):
        places = [(rows + o[:, 1], columns + o[:, 0]) for o in offset[:, group].unbind(1)]
        logits = torch.stack([(q * bilinear_reads(k, *place)).sum(1) for place in places], 1)
        weights = logits.softmax(1)
        out.append(sum(weights[:, m, None] * bilinear_reads(v, *place) for m, place in enumerate(places)))
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("options", [{}, {"high_offset": False}, {"points": 1, "groups": 1}], ids=str)
@pytest.mark.parametrize(("scale", "size"), [(2, (3, 4)), (1, (2, 3)), (3, (1, 4)), (4, (1, 1))])
def test_values_and_all_gradients_are_those_of_every_point_read(options, scale, size):
    up = built(scale=scale, **options)
    with torch.no_grad():
        up.offset.bias.mul_(4)  # some points lie outside
    given = up.example_inputs(2, *size)
    expected = output_and_gradients(up, lambda x, y: naive(up, x, y), given)
    assert worst(output_and_gradients(up, up, given), expected) <= 1e-11


def test_a_normed_one_reads_x_as_it_is():
    up = built(channels=32, guide_channels=64, norm=True)
    x, y = torch.randn(2, 32, 3, 4).double(), torch.randn(2, 64, 6, 8).double()
    assert torch.allclose(up(x, y), naive(up, x, y), atol=1e-11)


def test_points_that_do_not_move_give_nearest():
    up = upsamplers.create("sapa-d", 8, scale=3)
    with torch.no_grad():
        up.offset.weight.zero_()
    x = torch.randn(2, 8, 4, 5)
    nearest = x.repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert torch.allclose(up(x, torch.randn(2, 8, 12, 15)), nearest, atol=1e-6)


def test_points_far_outside_read_zero_and_points_that_are_no_number_stay_in_bounds():
    x, key, query = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3), torch.randn(1, 4, 6, 6)
    offsets = torch.full((1, 2, 6, 6), 1e9)
    assert not selected_points(x, key, query, offsets, groups=1, scale=2).any()
    assert selected_points(x, key, query, offsets * torch.nan, groups=1, scale=2).isnan().all()


def test_blocks_of_rows_give_what_one_block_gives(monkeypatch):
    up = built(channels=16, guide_channels=16)
    x, y = torch.randn(2, 16, 6, 5).double(), torch.randn(2, 16, 12, 10).double()
    inputs = x.requires_grad_(), y.requires_grad_()

    def results():
        out = up(*inputs)
        return (out, *torch.autograd.grad(out.square().sum(), (*inputs, *up.parameters())))

    expected = results()
    for limit in ("CPU_AT_LEAST", "CPU_AT_MOST"):
        monkeypatch.setattr(f"upsamplers.functional._torch.point_blocks.{limit}", 10_000)
    for result, other in zip(results(), expected, strict=True):
        assert torch.allclose(result, other, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "expected"), [({}, 139_808), ({"norm": True}, 140_832), ({"high_offset": False}, 84_296)], ids=str
)
def test_parameters_are_those_that_are_published(options, expected):
    up = upsamplers.create("sapa-d", 256, **options)
    assert sum(parameter.numel() for parameter in up.parameters()) == expected


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (6, {}, "6 channels are not divisible by 4"),
        (48, {"norm": True}, "48 channels are not divisible by 32"),
        (8, {"points": 0}, "points must be a positive integer, not 0"),
        (8, {"embedding_channels": 0}, "embedding_channels must be a positive integer, not 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(channels, options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("sapa-d", channels, **options)


def test_a_norm_of_one_value_a_group_is_refused():
    up = upsamplers.create("sapa-d", 32, norm=True)
    with pytest.raises(Unsupported, match="more than one value per group"):
        up(torch.randn(1, 32, 1, 1), torch.randn(1, 32, 2, 2))


@pytest.mark.parametrize(("place", "name"), [(1, "keys"), (2, "a query"), (3, "offsets")])
def test_what_does_not_fit_x_is_refused(place, name):
    given = [torch.zeros(1, 4, 3, 3), torch.zeros(1, 4, 3, 3), torch.zeros(1, 4, 6, 6), torch.zeros(1, 4, 6, 6)]
    given[place] = given[place][..., 1:]
    with pytest.raises(Unsupported, match=f"expected {name} of shape"):
        selected_points(*given, groups=2, scale=2)


def test_no_sample_is_copied_out():
    assert_peaks(upsamplers.create("sapa-d", 256), 40, forward=3, training=6)


def test_first_and_second_derivatives_are_those_of_finite_differences():
    torch.manual_seed(0)
    shapes = (1, 2, 2, 3), (1, 4, 2, 3), (1, 4, 4, 6), (1, 8, 4, 6)
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def select(*tensors):
        return selected_points(*tensors, groups=2, scale=2)

    assert torch.autograd.gradcheck(select, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(select, given, fast_mode=True)
