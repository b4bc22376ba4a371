"""An engine whose package is not installed."""

from upsampler_bench.backends import _engine

DESCRIPTION = "is not installed"
OPERATORS = "torch"
IS_ENGINE = True


def why_not(case):
    return _engine.why_not(case, ("no_such_engine",), "engines", ("float32",), ("cpu",))


def prepare(module, inputs):
    raise AssertionError
