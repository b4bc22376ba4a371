"""The pictures as PDF, for LaTeX."""

from functools import partial

from upsampler_bench.figures import draw

files = partial(draw.files, suffix="pdf")
