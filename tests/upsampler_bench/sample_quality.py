"""A made-up run of quality: signatures, and six seeds of shapes and one of reconstruction."""

import random

from sample_run import ENVIRONMENT

from upsampler_bench.case import QUALITY, RECONSTRUCTION, SHAPES, Case, Settings
from upsampler_bench.results import Measurement, MetricInfo, Raster, Reading, Run, Scene, Training, UpsamplerInfo

# By operator: whether it takes a guide, and its mIoU in per cent.
OPERATORS = {
    "nearest": (False, 78.5), "bilinear": (False, 76.6), "carafe": (False, 80.2), "dysample": (False, 80.0),
    "sapa-b": (True, 90.8), "fade": (True, 87.6), "max-unpool": (True, 85.8),
}  # fmt: skip
FAILED, SEEDS, SIDE = "deconv", range(6), 8
INFOS = (
    MetricInfo("ramp_error", "Ramp error", "px", QUALITY, exact=True, place=1, description="mean |y - p|"),
    MetricInfo("ramp_shift", "Ramp shift", "px", QUALITY, exact=True, place=2, description="mean (y - p)"),
    MetricInfo("constant_error", "Constant", "share", QUALITY, exact=True, place=3, description="mean |y - 1|"),
    MetricInfo("response_spread", "Spread", "px", QUALITY, exact=True, place=4, description="of the response"),
)
PICTURE = Raster.pack([[128, 255], [128, 0]])


def quality_run():
    """Seven operators and deconv, whose signature is there and whose trainings diverged."""
    names = (*OPERATORS, FAILED)
    run = Run(
        ENVIRONMENT,
        Settings(steps=10, seeds=len(SEEDS)),
        INFOS,
        tuple(UpsamplerInfo(name, needs_guide=OPERATORS.get(name, (False,))[0]) for name in names),
        plan={"name": "quality"},
        started="2026-11-22T05:00:00+00:00",
        ended="complete",
        scenes=(*[Scene(SHAPES, _raster(3, 255), _raster(1, 4))] * 2, Scene(RECONSTRUCTION, _raster(1, 255))),
    )
    for name in names:
        case = Case(name, QUALITY, channels=32, height=24, width=24, dtype="float64")
        run = run.with_measurement(Measurement(case, readings=_signature(), trainings=_trainings(name)))
    return run


def _signature():
    values = {"ramp_error": 0.25, "ramp_shift": -0.5, "constant_error": 1e-12}
    exact = [Reading(name, ((value,),), "float64") for name, value in values.items()]
    return (*exact, Reading("response_spread", ((0.35,),), "float64", picture=PICTURE))


def _trainings(name):
    if name == FAILED:
        return tuple(Training(SHAPES, seed, 10, SIDE, (1.0, 99.0), failure="diverged at step 2") for seed in SEEDS)
    drawn, quality = random.Random(name), OPERATORS[name][1] / 100
    others = {"boundary_iou_1": quality - 0.1, "boundary_iou_2": quality - 0.05, "thin_iou": quality - 0.2}
    others |= {"edges_found": 0.9, "edge_displacement": 0.4}
    shapes = tuple(
        Training(
            SHAPES,
            seed,
            10,
            SIDE,
            tuple(1.6 / (step + 1) for step in range(10)),
            {"miou": quality + 0.01 * seed + drawn.uniform(-0.002, 0.002), **others},
            30.0,
            1000,
            predictions=(_raster(1, 4), _raster(1, 4)) if seed == 0 else (),
        )
        for seed in SEEDS
    )
    scores = {"psnr": 20 + 10 * quality, "ssim": quality, "mae": 0.02, "rmse": 0.04}
    shown = (_raster(1, 255),)
    return (*shapes, Training(RECONSTRUCTION, 0, 10, SIDE, (0.5, 0.25), scores, 20.0, 1000, "fashion-mnist", shown))


def _raster(channels, largest):
    drawn = random.Random(channels)
    return Raster.pack([[drawn.randint(0, largest) for _ in range(channels * SIDE)] for _ in range(SIDE)], channels)
