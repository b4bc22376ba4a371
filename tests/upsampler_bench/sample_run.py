"""A made-up run with numbers as they could be: twelve operators, one that failed and one that was skipped."""

import random
from dataclasses import replace

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Environment, Measurement, MetricInfo, Reading, Run, UpsamplerInfo

MIB = 2**20
METRICS = (
    MetricInfo("latency", "Latency", "s", "inference", relative=True, description="one forward call"),
    MetricInfo("inference_memory", "Inference memory", "B", "inference", exact=True, description="peak of one forward"),
    MetricInfo(
        "flops_mac", "GFLOPs (mac)", "MAC", "inference", exact=True, additive=True, description="true multiply-adds"
    ),
    MetricInfo(
        "flops_paper", "GFLOPs (paper)", "MAC", "inference", exact=True, additive=True, description="as Table 4"
    ),
    MetricInfo("params_weights", "Weights", "1", "inference", exact=True, additive=True, description="without biases"),
    MetricInfo("params_all", "Parameters", "1", "inference", exact=True, additive=True, description="with biases"),
    MetricInfo("train_latency", "Train time", "s", "train", relative=True, description="forward and backward"),
    MetricInfo("train_memory", "Train memory", "B", "train", exact=True, description="peak of forward and backward"),
)
# name: latency ms, inference MiB, mac and paper multiplications a pixel, weights, all parameters, train ms, train MiB
FIGURES = {
    "nearest": (8.6, 56.25, 0, 0, 0, 0, 23.1, 126.5625),
    "bilinear": (9.1, 56.25, 4096, 0, 0, 0, 25.4, 126.5625),
    "bicubic": (33.9, 56.25, 16384, 0, 0, 0, 91.2, 126.5625),
    "deconv": (222.4, 56.25, 589824, 2359296, 589824, 590080, 700.3, 185.1),
    "pixel-shuffle": (410.7, 112.5, 2359296, 2359296, 2359296, 2360320, 1301.0, 253.9),
    "carafe": (131.6, 172.4, 99584, 99584, 73984, 74148, 420.9, 391.2),
    "dysample": (12.4, 61.2, 12288, 19456, 8192, 8224, 39.9, 150.1),
    "dysample+": (14.8, 66.1, 20480, 27648, 16384, 16416, 47.0, 161.9),
    "dysample-s": (16.2, 61.2, 8192, 15360, 1024, 1040, 52.1, 190.3),
    "dysample-s+": (18.9, 62.8, 12288, 19456, 2048, 2064, 60.7, 204.8),
    "dysample-naive": (11.9, 58.1, 12288, 19456, 8192, 8224, 38.8, 149.7),
    "mine": (27.3, 84.4, 30000, 37168, 12345, 12400, 77.7, 222.2),
}
ENVIRONMENT = Environment(
    "Intel Xeon Platinum 8481C",
    "cpu",
    {"python": "3.11.7", "torch": "2.13.0+cpu"},
    {"cores": "2", "allocator": "glibc 2.36", "tf32": "off"},
    ({"at": "start", "load": 0.31}, {"at": "end", "load": 1.04}),
)


def sample_run() -> Run:
    """Twelve operators: carafe fails in training, mine fails wholly, bicubic's training is skipped."""
    run = plain_run(FIGURES)
    run = _without(run, "carafe", "train", "failed", "out of memory: tried to allocate 391.2 MiB | limit 300 MiB")
    run = _without(run, "bicubic", "train", "skipped", "not asked for")
    for mode in ("inference", "train"):
        run = _without(run, "mine", mode, "failed", "output has shape (1, 256, 240, 239), expected (1, 256, 240, 240)")
    return run


def plain_run(figures: dict[str, tuple[float, ...]]) -> Run:
    """All of these operators measured."""
    run = Run(
        ENVIRONMENT,
        Settings(threads=1),
        METRICS,
        tuple(UpsamplerInfo(name) for name in figures),
        started="2026-11-21T05:00:00+00:00",
        finished="2026-11-21T05:04:10+00:00",
        ended="complete",
    )
    for name, row in figures.items():
        for mode in ("inference", "train"):
            run = run.with_measurement(_measurement(Case(name, mode), row))
    return run


def also_on_triton(run: Run, figures: dict[str, tuple[float, ...]]) -> Run:
    """The run with these operators on backend triton too."""
    for name, row in figures.items():
        for measurement in plain_run({f"{name} on triton": row}).measurements:  # so named, noise of its own
            run = run.with_measurement(replace(measurement, case=measurement.case.of(name).on("triton")))
    return run


def _measurement(case: Case, row: tuple[float, ...]) -> Measurement:
    latency, memory, mac, paper, weights, everything, train, train_memory = row
    if case.mode == "train":
        return Measurement(
            case, readings=(_timed(case, "train_latency", train), _exact("train_memory", train_memory * MIB))
        )
    values = {
        "inference_memory": memory * MIB, "flops_mac": mac * 14400.0, "flops_paper": paper * 14400.0,
        "params_weights": weights, "params_all": everything,
    }  # fmt: skip
    return Measurement(case, readings=(_timed(case, "latency", latency), *(_exact(*one) for one in values.items())))


def _timed(case: Case, metric: str, milliseconds: float) -> Reading:
    """Ten rounds of seven samples, spread by about a per cent."""
    drawn = random.Random(f"{case.upsampler}/{case.group}")
    rounds = tuple(tuple(milliseconds / 1e3 * drawn.gauss(1, 0.01) for _ in range(7)) for _ in range(10))
    return Reading(metric, rounds, "perf_counter_ns, heap kept, 1 thread", facts={"stop": "precise"})


def _exact(metric: str, value: float) -> Reading:
    methods = {"B": "live storages", "MAC": "fvcore, own handles", "1": "numel"}
    unit = next(one.unit for one in METRICS if one.name == metric)
    notes = ("scratch inside the kernel not seen",) if value == 172.4 * MIB else ()
    facts = {"uncounted": "aten::frobnicate (2)"} if metric == "flops_mac" and value == 30000 * 14400 else {}
    return Reading(metric, ((float(value),),), methods[unit], notes, facts)


def _without(run: Run, name: str, mode: str, status: str, reason: str) -> Run:
    case = Case(name, mode)
    kept = tuple(
        replace(one, status=status, reason=reason, readings=()) if one.case == case else one for one in run.measurements
    )
    return replace(run, measurements=kept)
