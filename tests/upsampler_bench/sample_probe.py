"""A made-up run of capabilities: every kind of cell, and columns at their widest."""

from dataclasses import replace

from sample_run import ENVIRONMENT, FIGURES, sample_run

from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run, UpsamplerInfo

TITLES = {
    "float16": "fp16", "autocast": "amp", "channels_last": "NHWC", "upsample_to": "to odd", "scales": "×s",
    "compiles": "comp full", "compile_time": "comp", "onnx_export": "ONNX", "cuda_graph": "CUDA graph",
}  # fmt: skip
UNITS = {"scales": "1", "compile_time": "s"}
METRICS = tuple(
    MetricInfo(
        name,
        title,
        UNITS.get(name, "bool"),
        PROBE,
        exact=name != "compile_time",
        place=200 + position,
        description=f"Whether {name} works.",
    )
    for position, (name, title) in enumerate(TITLES.items())
)
NO_CUDA, LEFT = "needs CUDA", "channels_last inputs work, but the output is not channels_last"


def probed_run() -> Run:
    """Every operator probed; of carafe some capabilities are missing, mine failed."""
    settings = Settings(baseline="", threads=1)
    run = Run(ENVIRONMENT, settings, METRICS, tuple(map(UpsamplerInfo, FIGURES)), ended="complete")
    for name in FIGURES:
        run = run.with_measurement(_measurement(name))
    return run


def mixed_run() -> Run:
    """The same operators timed and probed at one shape."""
    timed = sample_run()
    run = replace(timed, metrics=(*timed.metrics, *METRICS))
    for measurement in probed_run().measurements:
        case = replace(measurement.case, batch=1, channels=256, height=120, width=120)
        run = run.with_measurement(replace(measurement, case=case))
    return run


def _measurement(name: str) -> Measurement:
    case = Case(name, PROBE, 2, 64, 9, 11)
    if name == "mine":
        return Measurement(case, "failed", "RuntimeError: this operator has a bug")
    readings = {metric: _reading(metric, 1.0) for metric in TITLES}
    readings["scales"] = _reading("scales", 4.0, shown="1–4")
    readings["compile_time"] = _reading("compile_time", 12.34)
    readings["cuda_graph"] = _reading("cuda_graph", None, NO_CUDA)
    if name == "carafe":
        readings["float16"] = _reading("float16", 0.0, "output is float32, expected float16")
        readings["scales"] = _reading("scales", 2.0, "not ×1, ×3: refused", shown="2 4")
        readings["compiles"] = _reading("compiles", 0.0, "crashed the process: SIGSEGV")
        readings["compile_time"] = _reading("compile_time", None, "crashed the process: SIGSEGV")
        readings["channels_last"] = _reading("channels_last", 1.0, LEFT, shown="in")
    if name == "bicubic":
        readings["scales"] = _reading("scales", 0.0, "not ×1, ×2, ×3, ×4: refused")
        del readings["onnx_export"]
    return Measurement(case, readings=tuple(readings.values()))


def _reading(metric: str, value: float | None, *notes: str, **facts: str) -> Reading:
    rounds = () if value is None else ((value,),)
    return Reading(metric, rounds, "tried", notes, facts)
