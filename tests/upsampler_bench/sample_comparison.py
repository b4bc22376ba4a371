"""A made-up comparison of eight processes per side."""

import random

from upsampler_bench.compare.comparison import DECIDED, Comparison
from upsampler_bench.compare.rank_test import Shift
from upsampler_bench.compare.rule import DEFAULT, Result
from upsampler_bench.compare.samples import BASE, HEAD, Sample, Timing

CONDITION = "1x64x32x32/x2/float32/contiguous/cpu/inference"
CARAFE, DYSAMPLE, BILINEAR = (f"{name}/{CONDITION}" for name in ("carafe", "dysample", "bilinear"))
SECONDS = {BILINEAR: 1e-3, DYSAMPLE: 1.4e-3, CARAFE: 3e-3}


def values(count, factor=1.0, spread=0.02, seed=0):
    """Noisy values, whose median is the factor."""
    chance = random.Random(f"{seed}{count}{factor}{spread}")
    return [factor * chance.lognormvariate(0, spread) for _ in range(count)]


def result(key, verdict, ratio=1.0):
    return Result(key, verdict, Shift(ratio, ratio * 0.99, ratio * 1.01), 0.001, 0.5, 8, 8)


def comparison(*results, **options):
    timings = {key: Timing((value,) * 4, value) for key, value in SECONDS.items()}
    options = {"samples": tuple(Sample(side, timings) for side in (BASE, HEAD) * 8), "stopped": DECIDED, **options}
    keys = tuple(result.key for result in results)
    return Comparison("base (1a2b3c4)", "head (the working tree)", CONDITION, keys, DEFAULT, results=results, **options)
