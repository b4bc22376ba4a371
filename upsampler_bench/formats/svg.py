"""The pictures as SVG."""

from functools import partial

from upsampler_bench.figures import draw

files = partial(draw.files, suffix="svg")
