"""The signature: exact where it can be worked out by hand, and what operators claim about themselves."""

import math

import pytest
import torch
import torch.nn.functional as F
from sample_workload import every_operator

import upsamplers
from upsampler_bench.case import QUALITY, Case
from upsampler_bench.quality import signature, subject
from upsampler_bench.quality.subject import Subject
from upsamplers import Upsampler

EXACT = {"rel": 0, "abs": 1e-12}
CASE = Case("nearest", QUALITY, channels=32, height=24, width=24)
NAMES = tuple(name for name in upsamplers.names() if upsamplers.get(name).why_not(scale=2, device="cpu") is None)
# By their mathematics: weights that sum to one, or points that are interpolated between.
KEEPS_CONSTANTS = tuple(
    name
    for name in NAMES
    if name.startswith(("nearest", "bilinear", "bicubic", "carafe", "fam", "a2u", "sapa", "dysample", "sierra", "dlu"))
    or name in ("fade", "fade-lite", "freqfusion", "lda-aqu", "resfu")
)
STAYS_IN_WINDOW = ("nearest", "bilinear", "dysample", "dysample-naive", "sierra")


class HalfAPixelOff(Upsampler):
    """Nearest, moved by one output pixel: half an input pixel at scale 2."""

    def forward(self, x):
        return F.pad(F.interpolate(x, scale_factor=2.0), (1, 0, 1, 0), mode="replicate")[..., :-1, :-1]


def of(name):
    return subject.make(CASE.of(name), seed=0)


def trained(name):
    """The operator with noise on every parameter, as after training."""
    made = of(name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return made


def deconvolution(kernel):
    """A transposed convolution with this 3×3 kernel for each channel alone."""
    made = of("deconv")
    with torch.no_grad():
        made.module.layer.bias.zero_()
        made.module.layer.weight.zero_()
        for channel in range(made.module.channels):
            made.module.layer.weight[channel, channel] = torch.tensor(kernel, dtype=torch.float64)
    return made


def test_nearest_is_a_quarter_of_a_pixel_off_a_ramp_and_its_response_is_one_pixel():
    nearest = of("nearest")
    # The output pixels of input pixel i are at i ± 1/4, and their value is i.
    assert signature.ramp_error(nearest) == pytest.approx(0.25, **EXACT)
    assert signature.ramp_shift(nearest) == pytest.approx(0, **EXACT)
    assert signature.noise_gain(nearest) == pytest.approx(1, **EXACT)
    assert signature.response_centroid(nearest) == pytest.approx(0, **EXACT)
    assert signature.response_spread(nearest) == pytest.approx(math.sqrt(2 * 0.25**2), **EXACT)
    assert signature.feature_preservation(nearest) == pytest.approx(1, **EXACT)
    for zero in (signature.constant_border_error, signature.shift_error, signature.flip_error, signature.turn_error):
        assert zero(nearest) == pytest.approx(0, **EXACT)
    assert signature.outside_hull(nearest) == signature.checkerboard(nearest) == 0


def test_bilinear_reproduces_ramps_and_spreads_an_impulse_over_two_pixels():
    bilinear = of("bilinear")
    assert signature.ramp_error(bilinear) == pytest.approx(0, **EXACT)
    assert signature.constant_border_error(bilinear) == pytest.approx(0, **EXACT)
    # Along one side the weights are 1/4, 3/4, 3/4, 1/4 at -3/4, -1/4, 1/4, 3/4.
    variance = 2 * (0.75 * 0.25**2 + 0.25 * 0.75**2) / 2
    assert signature.response_spread(bilinear) == pytest.approx(math.sqrt(2 * variance), **EXACT)
    assert signature.response_centroid(bilinear) == pytest.approx(0, **EXACT)
    assert signature.outside_hull(bilinear) == 0
    # The gain of white noise is the root of the sum of the squared weights, (9 + 1) / 16 a side.
    assert signature.noise_gain(bilinear) == pytest.approx(10 / 16, rel=0.01)


def test_a_deconvolution_of_ones_has_the_checkerboard_of_its_overlaps():
    # An output pixel of phase (0, 0) sees one tap of the kernel, of phases (0, 1) and (1, 0) two, of (1, 1) four.
    ones = deconvolution([[1, 1, 1]] * 3)
    mean = (1 + 2 + 2 + 4) / 4
    deviation = math.sqrt(sum((overlap - mean) ** 2 for overlap in (1, 2, 2, 4)) / 4)
    assert signature.checkerboard(ones) == pytest.approx(deviation, **EXACT)
    assert signature.constant_error(ones) == pytest.approx((0 + 1 + 1 + 3) / 4, **EXACT)


def test_a_deconvolution_of_halves_moves_content_by_a_quarter_of_a_pixel():
    # Output 2i is x[i], output 2i + 1 the mean of x[i] and x[i + 1]: at i and i + 1/2, not at i - 1/4 and i + 1/4.
    tent = [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
    moved = deconvolution(tent)
    assert signature.constant_error(moved) == pytest.approx(0, **EXACT)
    assert signature.checkerboard(moved) == pytest.approx(0, **EXACT)
    assert signature.ramp_error(moved) == pytest.approx(0.25, **EXACT)
    assert signature.ramp_shift(moved) == pytest.approx(0.25, **EXACT)
    assert signature.response_centroid(moved) == pytest.approx(math.hypot(0.25, 0.25), **EXACT)


def test_content_that_is_half_a_pixel_off_is_exposed():
    shifted = Subject(HalfAPixelOff(32).double().eval(), 24, 24)
    assert signature.ramp_error(shifted) == pytest.approx(0.5, **EXACT)
    assert signature.ramp_shift(shifted) == pytest.approx(-0.5, **EXACT)
    assert signature.response_centroid(shifted) == pytest.approx(math.hypot(0.5, 0.5), **EXACT)
    assert signature.flip_error(shifted) > 0.1


def test_two_signatures_are_identical_to_the_bit():
    first, second = (signature.readings(of("fade")) for _ in range(2))
    assert first == second
    assert len(first) == len(signature.MEASURES)


@pytest.mark.slow
@every_operator
def test_every_operator_has_a_finite_signature(name):
    found = {reading.metric: reading for reading in signature.readings(of(name))}
    unguided = {measure.info.name for measure in signature.MEASURES if not measure.guided_only}
    assert {metric for metric, reading in found.items() if reading.samples} >= unguided
    assert ("guide_leakage" in found) == upsamplers.get(name).needs_guide
    assert found["response_spread"].picture.height == signature.RESPONSE * 2


@pytest.mark.parametrize("name", KEEPS_CONSTANTS)
def test_an_operator_whose_weights_sum_to_one_keeps_constants(name):
    assert signature.constant_error(of(name)) < 1e-9
    assert signature.constant_error(trained(name)) < 1e-9


@pytest.mark.parametrize("name", STAYS_IN_WINDOW)
def test_an_average_of_the_pixels_around_stays_in_their_range(name):
    assert signature.outside_hull(of(name)) == 0


@pytest.mark.parametrize("name", ["carafe", "deconv", "pixel-shuffle", "dysample", "dlu", "fade", "a2u", "sapa-b"])
def test_a_convolutional_operator_follows_a_shift_by_one_pixel(name):
    # The deviation over the whole image, by which noise is normalised, is not the same of a shifted one.
    assert signature.shift_error(of(name)) < 2e-3


def test_dysample_starts_as_bilinear_and_naive_and_sapa_d_start_as_nearest():
    assert signature.ramp_error(of("dysample")) < 0.005
    for name in ("dysample-naive", "sapa-d"):
        assert signature.ramp_error(of(name)) == pytest.approx(0.25, abs=0.005)
        assert signature.response_centroid(of(name)) < 0.005


@pytest.mark.parametrize("name", ["carafe", "dlu"])
def test_carafe_starts_as_a_blur_of_nearest_that_loses_a_tenth_at_a_border_of_zeros(name):
    # Five equal weights a side have a variance of 2; along a side of 24 pixels, padding takes 2/5 and 1/5 at each end.
    assert signature.response_spread(of(name)) == pytest.approx(math.sqrt(2 * 2 + 2 * 0.25**2), abs=0.005)
    kept = (24 - 2 * (2 / 5 + 1 / 5)) / 24
    assert signature.constant_border_error(of(name)) == pytest.approx(1 - kept**2, abs=0.001)


def test_weights_from_a_file_take_the_place_of_the_initial_ones(tmp_path):
    made = deconvolution([[0, 0, 0], [0, 1, 1], [0, 1, 1]])  # nearest
    torch.save(made.module.state_dict(), tmp_path / "nearest.pth")
    read = subject.make(CASE.of("deconv"), seed=0, weights=str(tmp_path / "nearest.pth"))
    assert signature.ramp_error(read) == pytest.approx(0.25, abs=1e-6)
    assert signature.ramp_error(of("deconv")) > 1


class Broken(Upsampler):
    """Nearest, with a wrong size or a NaN."""

    def __init__(self, channels, *, scale=2, by=None):
        super().__init__(channels, scale=scale)
        self.by = by

    def forward(self, x):
        out = F.interpolate(x, scale_factor=2.0)
        return out[..., 1:] if self.by == "size" else out / 0 * 0


@pytest.mark.parametrize(
    ("by", "message"), [("size", r"shape \(1, 32, 48, 47\), expected \(1, 32, 48, 48\)"), ("NaN", "not finite")]
)
def test_a_wrong_output_has_no_signature(by, message):
    with pytest.raises(ValueError, match=f"wrong output: {message}"):
        signature.readings(Subject(Broken(32, by=by), 24, 24))
