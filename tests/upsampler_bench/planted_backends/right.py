"""An engine that runs the module itself."""

from upsampler_bench.backends._engine import Engine

DESCRIPTION = "runs the module"
OPERATORS = "torch"
IS_ENGINE = True


def prepare(module, inputs):
    return Engine(module, 0.5, 1024, "right 1.0, opset 18", {"version": "1.0"})
