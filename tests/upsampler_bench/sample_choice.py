"""Made-up runs to recommend from: a measured one and one in which capabilities were tested."""

from dataclasses import replace

from sample_run import ENVIRONMENT, FIGURES, plain_run

from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run, UpsamplerInfo

NAMES = ("nearest", "bilinear", "deconv", "carafe", "dysample", "dysample+", "dysample-s+", "sapa-b")
MORE = {"sapa-b": (60.0, 90.0, 40000, 40000, 16384, 17472, 200.0, 240.0)}
PROBED = ("bfloat16", "onnx_export", "cuda_graph", "compiles", "compiles_dynamic")
PROBES = tuple(
    MetricInfo(name, {"bfloat16": "bf16"}.get(name, name), "bool", PROBE, lower_is_better=False, exact=True)
    for name in PROBED
)


def measured_run(**changed):
    """Eight operators, one of them guided; `changed` gives one another latency in ms."""
    figures = {name: {**FIGURES, **MORE}[name] for name in NAMES}
    for name, latency in changed.items():
        figures[name] = (latency, *figures[name][1:])
    run = plain_run(figures)
    return replace(run, upsamplers=tuple(UpsamplerInfo(name, needs_guide=name == "sapa-b") for name in NAMES))


def probed_run():
    """All but sapa-b tested; dysample+ does not export, and no GPU was present."""
    run = Run(ENVIRONMENT, Settings(baseline=""), PROBES, tuple(map(UpsamplerInfo, NAMES)), ended="complete")
    for name in NAMES[:-1]:
        readings = [Reading(one, ((1.0,),), "tried") for one in PROBED if one != "cuda_graph"]
        readings.append(Reading("cuda_graph", (), "tried", ("needs CUDA",)))
        if name == "dysample+":
            readings[1] = Reading("onnx_export", ((0.0,),), "tried", ("no such operator",))
        run = run.with_measurement(Measurement(Case(name, PROBE, 2, 64, 9, 11), readings=tuple(readings)))
    return run
