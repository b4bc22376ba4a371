"""The signature of an operator: what it does to signals whose right answer is known, without data or training.

One measure a function of the operator alone; y is the output, x the input, s the scale. Lengths are in low-resolution
pixels ("px"). Unless a measure says otherwise it leaves out `subject.MARGIN` pixels at the border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from upsampler_bench.case import QUALITY
from upsampler_bench.quality.subject import Subject
from upsampler_bench.results import MetricInfo, Raster, Reading

METHOD = "float64, torch, one image"
# The window whose values bound a pixel that does not overshoot, in low-resolution pixels.
HULL = 3
# The side of the picture of an impulse response, in low-resolution pixels.
RESPONSE = 7


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the signature, and how it is obtained."""

    info: MetricInfo
    of: Callable[[Subject], float]
    guided_only: bool = False


def constant_error(subject: Subject) -> float:
    """mean |y - 1| in the interior for x = 1."""
    return _mean(subject.inside(_of_ones(subject) - 1).abs())


def constant_border_error(subject: Subject) -> float:
    """mean |y - 1| over all pixels for x = 1: a border padded with zeros shows here."""
    return _mean((_of_ones(subject) - 1).abs())


def ramp_error(subject: Subject) -> float:
    """mean |y - p| in px, for x = p, the position: the mean of a ramp down and a ramp across."""
    return sum(_mean(error.abs()) for error in _ramp_errors(subject)) / 2


def ramp_shift(subject: Subject) -> float:
    """mean (y - p) in px for x = p, of the direction in which it is larger; negative: content moves right or down."""
    return max((_mean(error) for error in _ramp_errors(subject)), key=abs)


def shift_error(subject: Subject) -> float:
    """|f(Tx) - T f(x)| / |T f(x)|, T a shift by one low-resolution pixel, of smooth noise; the larger direction."""
    return max(_moved_error(subject, subject.scale, 0), _moved_error(subject, 0, subject.scale))


def subpixel_error(subject: Subject) -> float:
    """The same for a shift by one output pixel (1/s px) of the signal that x is made of."""
    return max(_moved_error(subject, 1, 0), _moved_error(subject, 0, 1))


def flip_error(subject: Subject) -> float:
    """|f(Fx) - F f(x)| / |f(x)| over all pixels, F the flip of rows or of columns; the larger of both."""
    noise = subject.smooth_noise()
    out = subject(noise)
    return max(_relative(subject(noise.flip(side)), out.flip(side)) for side in (2, 3))


def turn_error(subject: Subject) -> float:
    """|f(Rx) - R f(x)| / |f(x)| over all pixels, R a quarter turn."""
    noise = subject.smooth_noise()
    return _relative(subject(noise.rot90(1, (2, 3))), subject(noise).rot90(1, (2, 3)))


def checkerboard(subject: Subject) -> float:
    """For x = 1, the deviation over the s² phases of each phase's mean; root mean square over the channels."""
    s = subject.scale
    phases = F.pixel_unshuffle(subject.inside(_of_ones(subject)), s)  # (1, Cs², h, w)
    means = phases.mean((2, 3)).unflatten(1, (-1, s**2))  # (1, C, s²)
    return math.sqrt(_mean(means.var(2, correction=0)))


def alias_energy(subject: Subject) -> float:
    """The share of the energy of y, without its mean, above the low-resolution Nyquist frequency; x is smooth noise."""
    out = subject.inside(subject(subject.smooth_noise()))
    rows, columns = (torch.hann_window(size, periodic=False, dtype=torch.float64) for size in out.shape[2:])
    # Without the window, the jump from one border to the other would count as high frequencies.
    windowed = (out - out.mean((2, 3), keepdim=True)) * rows.unsqueeze(1) * columns
    energy = torch.fft.fft2(windowed).abs().square()
    down, across = (torch.fft.fftfreq(size).abs() for size in out.shape[2:])
    is_high = (down.unsqueeze(1) > 0.5 / subject.scale) | (across > 0.5 / subject.scale)
    return float(energy[..., is_high].sum() / energy.sum())


def noise_gain(subject: Subject) -> float:
    """std y / std x for white noise x."""
    noise = subject.noise()
    x = F.avg_pool2d(subject.inside(noise), subject.scale)
    return float(subject.inside(subject(noise)).std(correction=0) / x.std(correction=0))


def outside_hull(subject: Subject) -> float:
    """The share of outputs outside the range of x in the 3×3 pixels around them, for white noise x."""
    noise, s = subject.noise(), subject.scale
    x = F.avg_pool2d(noise, s)
    bounds = [F.max_pool2d(sign * x, HULL, 1, HULL // 2) for sign in (-1, 1)]
    least, most = (bound.repeat_interleave(s, 2).repeat_interleave(s, 3) for bound in bounds)
    out, rounding = subject(noise), 1e-9
    return _mean(subject.inside(((out > most + rounding) | (-out > least + rounding)).double()))


def guide_leakage(subject: Subject) -> float:
    """std y for x = 1 and an encoder feature of white noise of deviation 1: texture that the guide adds."""
    return float(subject.inside(subject(subject.image(1.0), subject.noise())).std())


def feature_preservation(subject: Subject) -> float:
    """The cosine between the s×s means of y and x over channels, mean over pixels, for white noise x."""
    noise = subject.noise()
    pooled = F.avg_pool2d(subject.inside(subject(noise)), subject.scale)
    return _mean(F.cosine_similarity(pooled, F.avg_pool2d(subject.inside(noise), subject.scale), dim=1))


def response_centroid(subject: Subject) -> float:
    """The distance in px of the centroid of |r| from the pixel's centre; r is the impulse response."""
    _, down, across = _centroid(subject)
    return math.hypot(down, across)


def response_spread(subject: Subject) -> float:
    """The root of the mean squared distance in px from the centroid, weighted by |r|; r is the impulse response."""
    weights, down, across = _centroid(subject)
    rows, columns = _from_the_middle(subject)
    return math.sqrt(float((weights * ((rows - down).square() + (columns - across).square())).sum()))


def impulse_response(subject: Subject) -> Tensor:
    """y(1 at the middle pixel of all channels) - y(0), mean over channels: (sH, sW)."""
    s, row, column = subject.scale, subject.height // 2, subject.width // 2
    impulse = torch.zeros(s * subject.height, s * subject.width, dtype=torch.float64)
    impulse[s * row : s * (row + 1), s * column : s * (column + 1)] = 1.0
    return (subject(subject.image(impulse)) - subject(subject.image(0.0)))[0].mean(0)


def response_picture(subject: Subject) -> Raster:
    """The impulse response around its pixel; 128 is zero, 255 the largest magnitude."""
    s, response = subject.scale, impulse_response(subject)
    top, left = (s * (size // 2 - RESPONSE // 2) for size in (subject.height, subject.width))
    cut = response[top : top + s * RESPONSE, left : left + s * RESPONSE]
    levels = (128 + 127 * cut / cut.abs().max().clamp_min(1e-12)).round().to(torch.uint8)
    return Raster.pack(levels.tolist())


def readings(subject: Subject) -> tuple[Reading, ...]:
    """The signature as readings; of a number that is not finite, a reading without a value.

    The reading of the impulse response's spread has the response as its picture.
    """
    found = []
    for measure in MEASURES:
        if measure.guided_only and not subject.module.needs_guide:
            continue
        value = measure.of(subject)
        is_finite = math.isfinite(value)
        picture = response_picture(subject) if measure.of is response_spread and is_finite else None
        rounds, notes = (((value,),), ()) if is_finite else ((), ("not finite",))
        found.append(Reading(measure.info.name, rounds, METHOD, notes, picture=picture))
    return tuple(found)


def _of_ones(subject: Subject) -> Tensor:
    return subject(subject.image(1.0))


def _ramp_errors(subject: Subject) -> list[Tensor]:
    """The error in px of a ramp down and of a ramp across, shown to the operator with deviation 1 and mean 0."""
    errors = []
    for ramp in subject.positions():
        middle, deviation = ramp.mean(), ramp.std()
        out = subject(subject.image((ramp - middle) / deviation))
        errors.append(subject.inside(out * deviation + middle - subject.image(ramp)))
    return errors


def _moved_error(subject: Subject, down: int, across: int) -> float:
    out = subject(subject.smooth_noise()).roll((down, across), (2, 3))
    return _relative(subject.inside(subject(subject.smooth_noise(down, across))), subject.inside(out))


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _centroid(subject: Subject) -> tuple[Tensor, float, float]:
    """The weights |r| / sum |r|, and their centroid down and across."""
    weights = impulse_response(subject).abs()
    weights = weights / weights.sum()
    rows, columns = _from_the_middle(subject)
    return weights, float((weights * rows).sum()), float((weights * columns).sum())


def _from_the_middle(subject: Subject) -> tuple[Tensor, Tensor]:
    rows, columns = subject.positions()
    return rows - subject.height // 2, columns - subject.width // 2


def _mean(values: Tensor) -> float:
    return float(values.mean())


def _measure(
    of: Callable[[Subject], float],
    title: str,
    unit: str,
    place: int,
    *,
    guided_only: bool = False,
    lower_is_better: bool = True,
) -> Measure:
    text = " ".join((of.__doc__ or "").split())
    info = MetricInfo(of.__name__, title, unit, QUALITY, lower_is_better, exact=True, place=place, description=text)
    return Measure(info, of, guided_only)


MEASURES = (
    _measure(constant_error, "Constant", "share", 1),
    _measure(constant_border_error, "Constant with border", "share", 2),
    _measure(ramp_error, "Ramp error", "px", 3),
    _measure(ramp_shift, "Ramp shift", "px", 4),
    _measure(shift_error, "Shift by 1 px", "share", 5),
    _measure(subpixel_error, "Shift by 1/s px", "share", 6),
    _measure(flip_error, "Flips", "share", 7),
    _measure(turn_error, "Quarter turn", "share", 8),
    _measure(checkerboard, "Checkerboard", "1", 9),
    _measure(alias_energy, "Above Nyquist", "share", 10),
    _measure(noise_gain, "Noise gain", "1", 11),
    _measure(outside_hull, "Outside hull", "share", 12),
    _measure(response_centroid, "Centroid", "px", 13),
    _measure(response_spread, "Spread", "px", 14),
    _measure(feature_preservation, "Preservation", "1", 15, lower_is_better=False),
    _measure(guide_leakage, "Leakage", "1", 16, guided_only=True),
)
INFOS = tuple(measure.info for measure in MEASURES)
