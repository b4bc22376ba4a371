"""Cross-attention compared with its formula: in tiles of any size, at once, and inside the windows alone."""

import pytest
import torch
from live_storages import peaks
from naive_attention import attended, seen_keys

from upsamplers.errors import Unsupported
from upsamplers.functional import cross_attention
from upsamplers.functional._torch import attention_tiles
from upsamplers.functional._torch.attention_tiles import bounds, dense_attention, seen, windowed_attention

SIZES = [((4, 6), (2, 3)), ((15, 9), (5, 3)), ((7, 12), (7, 4))]


def make(high, low, channels=6, embedding=8, batch=2, dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (batch, embedding, *high), (batch, embedding, *low), (batch, channels, *low)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def naive(query, key, value, heads, window):
    rows, columns = (seen_keys(*sides, window) for sides in zip(query.shape[2:], key.shape[2:], strict=True))
    both = rows[:, None, :, None] & columns[None, :, None, :] if window > 0 else None
    return attended(query, key, value, heads, both)


def results(form, inputs, *options):
    out = form(*inputs, *options)
    torch.manual_seed(1)
    return [out, *torch.autograd.grad(out, inputs, torch.randn(out.shape, dtype=out.dtype))]


def in_tiles(query, key, value, heads, window):
    return cross_attention(query, key, value, heads=heads, window=window)


@pytest.mark.parametrize("window", [0, 0.1, 0.3, 1])
@pytest.mark.parametrize(("high", "low"), SIZES)
@pytest.mark.parametrize("most", [1, 40, 2**20])
def test_tiles_of_any_size_have_the_values_and_the_gradients_of_the_formula(most, high, low, window, monkeypatch):
    monkeypatch.setattr(attention_tiles, "MOST_WEIGHTS_CPU", most)
    inputs = make(high, low)
    torch.testing.assert_close(
        results(in_tiles, inputs, 2, window), results(naive, inputs, 2, window), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("form", [dense_attention, windowed_attention])
@pytest.mark.parametrize("window", [0, 0.1, 0.3])
@pytest.mark.parametrize(("high", "low"), SIZES)
def test_the_plain_forms_have_them_too(form, high, low, window):
    inputs = make(high, low)
    torch.testing.assert_close(results(form, inputs, 4, window), results(naive, inputs, 4, window), rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [0, 0.2])
def test_first_and_second_derivatives_are_those_of_finite_differences(window):
    inputs = make((4, 6), (2, 3), channels=2, embedding=4, batch=1)
    assert torch.autograd.gradcheck(in_tiles, (*inputs, 2, window), fast_mode=True)
    assert torch.autograd.gradgradcheck(in_tiles, (*inputs, 2, window), fast_mode=True)


@pytest.mark.parametrize("window", [0.05, 0.1, 1 / 3, 0.6, 2])
def test_windows_are_those_of_float32_for_every_size_and_scale(window):
    for low in (1, 2, 5, 7, 16, 28, 32):
        for scale in (1, 2, 3, 7, 14):
            high = scale * low
            expected = seen_keys(high, low, window)
            pixels = torch.arange(low)
            found = torch.stack([(pixels >= first) & (pixels < end) for first, end in bounds(high, low, window)])
            assert torch.equal(found, expected)
            assert torch.equal(seen(high, low, window, expected.device), expected)
            assert expected.any(1).all()


def test_at_a_tie_the_rounding_to_float32_decides():
    # 10.5/15 - 0.1 is 0.6, at which the fourth of five keys starts; in float32 it is less.
    assert bounds(15, 5, 0.1)[10] == (2, 4)
    assert bounds(15, 5, 0.1)[13] == (3, 5)


@pytest.mark.parametrize("window", [0, 0.2])
def test_weights_are_never_there_at_once(window, monkeypatch):
    monkeypatch.setattr(attention_tiles, "MOST_WEIGHTS_CPU", 2**11)
    inputs = [one.detach() for one in make((32, 32), (8, 8), embedding=16, dtype=torch.float32)]
    forward, training = peaks(lambda *tensors: in_tiles(*tensors, 4, window), *inputs)
    output, tile = 4 * 2 * 6 * 32 * 32, 4 * 2**11
    gradients = sum(4 * one.numel() for one in inputs)
    assert forward <= output + 4 * tile
    assert training <= 2 * output + gradients + 6 * tile
    assert 6 * tile < 4 * 2 * 4 * 32 * 32 * 8 * 8 / 40  # a fortieth of all weights


def test_what_does_not_fit_is_refused():
    query, key, value = make((4, 6), (2, 3))
    for wrong in ((query, key, value[..., 1:]), (query[:, :6], key, value), (query[:1], key, value)):
        with pytest.raises(Unsupported, match="expected \\(B, E, h, w\\)"):
            cross_attention(*wrong)
    with pytest.raises(Unsupported, match="a multiple of 3 heads"):
        cross_attention(query, key, value, heads=3)
