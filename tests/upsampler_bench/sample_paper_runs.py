"""Made-up runs of the paper's models and operators; counts follow from how the paper counts."""

from dataclasses import replace

from sample_run import ENVIRONMENT, METRICS

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Measurement, Reading, Run, UpsamplerInfo

PIXELS, STAGES = 14_592, 6
# Multiplications an input pixel of one stage as the paper counts them, and true ones; weights and all parameters of
# six stages.
COSTS = {
    "bilinear": (0, 4096, 0, 0),
    "deconv": (2_359_296, 589_824, 3_538_944, 3_540_480),
    "pixel-shuffle": (2_359_296, 2_359_296, 14_155_776, 14_161_920),
    "carafe": (99_584, 99_584, 443_904, 444_888),
    "indexnet": (2_100_224, 2_100_224, 12_595_200, 12_601_344),
    "a2u": (27_940, 27_940, 58_368, 64_740),
    "fade": (179_520, 179_520, 283_008, 283_542),
    "fade-gated": (181_824, 180_800, 284_544, 285_084),
    "sapa-b": (69_760, 69_760, 98_304, 104_832),
    "dysample-s": (15_360, 8_192, 6_144, 6_240),
    "dysample-s+": (19_456, 12_288, 12_288, 12_384),
    "dysample": (19_456, 12_288, 49_152, 49_344),
    "dysample+": (27_648, 20_480, 98_304, 98_496),
}
BASE_FLOPS, EXTRAS, BASE_WEIGHTS, BASE_PARAMS = 15_878_062_080, 33_500_000, 13_671_104, 13_715_798
# Whole models without upsamplers: parameters and weights; stages of 256 channels.
PYRAMIDS = {"fpn-r50": (32_161_344, 32_100_000, 4), "fpn-r50-panoptic": (28_483_190, 28_400_000, 3)}
# What each adds to DepthFormer, four stages on 96 to 768 channels: weights.
DEPTH = {
    "bilinear": 0, "deconv": 7_050_240, "pixel-shuffle": 28_200_960, "fade": 197_000,
    "dysample": 46_080, "dysample+": 92_160,
}  # fmt: skip


def paper_run(*measurements: Measurement, **environment: str) -> Run:
    names = dict.fromkeys(one.case.upsampler for one in measurements)
    infos = tuple(UpsamplerInfo(name) for name in names)
    return Run(replace(ENVIRONMENT, **environment), Settings(), METRICS, infos, measurements, ended="complete")


def segformer_run(batch: int = 1) -> Run:
    """SegFormer-B1 with every operator in it."""
    return paper_run(*(_segformer(name, batch) for name in COSTS))


def pyramid_run(model: str, baseline: str = "nearest") -> Run:
    """A feature pyramid with every operator in it; its baseline has no parameters."""
    return paper_run(*(_pyramid(baseline if name == "bilinear" else name, model) for name in COSTS))


def depth_run() -> Run:
    """DepthFormer with some of the operators in it."""
    sizes = {name: (41_000_000 + more, 41_100_000 + more) for name, more in DEPTH.items()}
    return paper_run(*(_params(Case(name, model="depthformer-swin-t"), *size) for name, size in sizes.items()))


def bare_run(milliseconds: dict[str, float], **environment: str) -> Run:
    """Operators alone on the paper's feature: ten rounds of exactly these latencies; counts where they are known."""
    return paper_run(*(bare(name, one) for name, one in milliseconds.items()), **environment)


def bare(name: str, milliseconds: float) -> Measurement:
    latency = Reading("latency", ((milliseconds / 1e3,),) * 10, "cuda events")
    if name not in COSTS:
        return Measurement(Case(name), readings=(latency, exact("flops_paper", 2e8), exact("params_weights", 2048)))
    paper, mac, weights, everything = COSTS[name]
    counts = (exact("flops_paper", paper * 14_400), exact("flops_mac", mac * 14_400))
    sizes = (exact("params_weights", weights // STAGES), exact("params_all", everything // STAGES))
    return Measurement(Case(name), readings=(latency, *counts, *sizes))


def without(run: Run, name: str) -> Run:
    return replace(run, measurements=tuple(one for one in run.measurements if one.case.upsampler != name))


def failed(run: Run, name: str, reason: str) -> Run:
    changed = [replace(one, status="failed", reason=reason, readings=()) for one in run.measurements]
    pairs = zip(run.measurements, changed, strict=True)
    return replace(run, measurements=tuple(new if old.case.upsampler == name else old for old, new in pairs))


def exact(metric: str, value: float, **facts: float | str) -> Reading:
    return Reading(metric, ((float(value),),), "counted", facts=facts)


def _segformer(name: str, batch: int) -> Measurement:
    case = Case(name, batch=batch, channels=3, height=512, width=512, model="segformer-b1")
    paper, mac, weights, everything = COSTS[name]
    flops = exact("flops_paper", batch * (BASE_FLOPS + PIXELS * paper), extras=float(batch * EXTRAS))
    true = exact("flops_mac", batch * (BASE_FLOPS + PIXELS * mac))
    sizes = (exact("params_weights", BASE_WEIGHTS + weights), exact("params_all", BASE_PARAMS + everything))
    return Measurement(case, readings=(flops, true, *sizes))


def _pyramid(name: str, model: str) -> Measurement:
    everything, weights, stages = PYRAMIDS[model]
    more = COSTS.get(name, COSTS["bilinear"])
    case = Case(name, channels=3, height=800, width=1216, model=model)
    return _params(case, weights + stages * more[2] // STAGES, everything + stages * more[3] // STAGES)


def _params(case: Case, weights: int, everything: int) -> Measurement:
    return Measurement(case, readings=(exact("params_weights", weights), exact("params_all", everything)))
