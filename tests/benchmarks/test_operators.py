"""Every registered operator under pytest-benchmark: `make bench-pytest`, e.g. ARGS="--shape 64x32x32 -k dysample".

Compare operators with `upsampler-bench run`, which times them interleaved; these times, one operator after the other,
are for pytest-benchmark's own tools (compare, histograms, --benchmark-compare-fail).
"""

import pytest

import upsamplers

ROUNDS = 30


@pytest.mark.parametrize("name", upsamplers.names())
def test_operator(name, upsampler_benchmark, request):
    shape = tuple(int(size) for size in request.config.getoption("--shape").split("x"))
    try:
        upsampler_benchmark(name, shape=shape, rounds=ROUNDS, device=request.config.getoption("--device"))
    except upsamplers.Unsupported as refusal:
        pytest.skip(str(refusal))
