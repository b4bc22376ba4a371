"""The pictures as PNG."""

from functools import partial

from upsampler_bench.figures import draw

files = partial(draw.files, suffix="png")
