"""Made-up runs for the pictures: in a model, over sizes, and with a floor."""

import random
from dataclasses import replace

from sample_run import ENVIRONMENT, METRICS, MIB

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run, UpsamplerInfo

TWELVE = {
    "nearest": 0.6, "bilinear": 1.0, "bicubic": 4.9, "deconv": 8.1, "pixel-shuffle": 17.0, "carafe": 3.1,
    "fade": 4.9, "sapa-b": 3.9, "dysample": 1.21, "dysample+": 1.36, "dysample-s": 1.18, "dysample-s+": 1.3,
}  # fmt: skip
FLOOR = MetricInfo("roofline_time", "Roofline time", "s", "inference", bounds="latency", place=11)
COPY, PRODUCTS = 41.1e9, 111.5e9
MODEL = {"batch": 1, "channels": 3, "height": 512, "width": 512, "scale": 2, "model": "segformer-b1"}


def model_run() -> Run:
    """Twelve operators in SegFormer-B1: nearest is faster than bilinear, carafe failed in training."""
    run = empty(TWELVE)
    for place, (name, cost) in enumerate(TWELVE.items()):
        case = Case(name, **MODEL)
        readings = (
            timed(case, "latency", 0.5 + 0.02 * cost),
            exact("inference_memory", (60 + cost) * MIB),
            exact("params_weights", 0 if cost < 1.1 else 6144.0 * (place + 1) ** 2),
            exact("flops_paper", 15.9e9 + 0.09e9 * (cost - 1)),
        )
        run = run.with_measurement(Measurement(case, readings=readings))
        case = replace(case, mode="train")
        trained = (timed(case, "train_latency", 1.9 + 0.05 * cost), exact("train_memory", (900 + 40 * cost) * MIB))
        run = run.with_measurement(Measurement(case, readings=trained))
    lost = Measurement(Case("carafe", mode="train", **MODEL), "failed", "out of memory")
    return run.with_measurement(lost)


def swept_run(sizes=(30, 60, 120, 240), channels=(256,)) -> Run:
    """All operators at each size: bilinear's latency grows as the pixels, deconv's also as the square of channels."""
    run = empty(TWELVE)
    for size in sizes:
        for count in channels:
            for name, cost in TWELVE.items():
                case = Case(name, height=size, width=size, channels=count)
                power = 2 if name in ("deconv", "pixel-shuffle") else 1
                seconds = 1e-6 + cost * 1e-6 * size**2 * (count / 256) ** power
                memory = exact("inference_memory", 4096.0 * size**2 * count / 256 * (1 + cost / 20))
                lost = name == "pixel-shuffle" and size == max(sizes) and len(sizes) > 1
                measured = Measurement(case, readings=(timed(case, "latency", seconds), memory))
                run = run.with_measurement(Measurement(case, "failed", "out of memory") if lost else measured)
    return run


def bounded_run() -> Run:
    """At the paper's shape with a floor: nearest multiplies nothing, fade failed, dysample is not counted wholly."""
    run = empty(TWELVE)
    for place, (name, cost) in enumerate(TWELVE.items()):
        case = Case(name)
        macs = 0.0 if name == "nearest" else 5.9e7 * 2.0**place
        facts: dict[str, float | str] = {"bytes": 7.37e7, "macs": macs, "copying": COPY, "multiplying": PRODUCTS}
        facts |= {"uncounted": "aten::frobnicate"} if name == "dysample" else {}
        least = max(7.37e7 / COPY, macs / PRODUCTS)
        floor = Reading("roofline_time", ((least,),), "counted", facts=facts)
        measured = Measurement(case, readings=(timed(case, "latency", least * (1 + cost)), floor))
        run = run.with_measurement(Measurement(case, "failed", "no kernel") if name == "fade" else measured)
    return run


def empty(names) -> Run:
    """A run of these operators in which nothing was measured yet."""
    known = tuple(UpsamplerInfo(name) for name in names)
    return Run(ENVIRONMENT, Settings(threads=1), (*METRICS, FLOOR), known, ended="complete")


def timed(case: Case, metric: str, seconds: float) -> Reading:
    """Ten rounds of five samples: what slows a round slows all operators in it."""
    shared, own = random.Random(metric), random.Random(case.key)
    slow = [shared.uniform(1, 1.1) for _ in range(10)]
    rounds = tuple(tuple(seconds * one * own.gauss(1, 0.002) for _ in range(5)) for one in slow)
    return Reading(metric, rounds, "perf_counter_ns, 1 thread")


def exact(metric: str, value: float) -> Reading:
    return Reading(metric, ((value,),), "counted")
