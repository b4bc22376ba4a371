"""What the DySample series costs on the CPU, beside bilinear and beside its published formulation; 1 above a target.

    python tests/benchmarks/bench_dysample.py [seconds of timed calls each, 3] [threads, 2]

All nine are timed interleaved in shuffled rounds and ratios are taken within a round, so that a machine that slows down
slows all of them. The heap is kept (no page is given back between calls). Ours and the published share x and weights.
What ratios cannot forgive is another process on a core that a thread wants: then each operation waits for it, however
small, and what is timed is the number of operations. So how busy other processes were is printed too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

# Its folder is not installed.
sys.path.insert(0, str(Path(__file__).parents[1] / "upsamplers"))
from published_dysample import published

import upsamplers
from upsampler_bench.case import Settings
from upsampler_bench.device import Cpu, Timings, label
from upsampler_bench.device.environment import seconds_of_others
from upsampler_bench.runner.interleaving import Subject, interleave, warm_up
from upsampler_bench.stats import Estimate, paired_ratio
from upsamplers.operators.dysample import DySample

# The most that ours may take, over bilinear.
TARGETS = {"dysample": 1.3, "dysample+": 1.45, "dysample-s": 1.7, "dysample-s+": 1.85}
BILINEAR = "bilinear"
SHAPE = (1, 256, 120, 120)
# Cores' worth of other processes' work.
DISTURBED = 0.1
ROW = "{:12s} {:>6s}  {:21s}  {:21s}  {:21s}  {}"


def theirs(name: str) -> str:
    """What the published formulation of a variant is called."""
    return f"published {name}"


def subjects() -> dict[str, Subject]:
    """Bilinear, and both formulations of each variant on one x and with one set of weights."""
    torch.manual_seed(0)
    x = torch.randn(SHAPE)
    bilinear = upsamplers.create(BILINEAR, SHAPE[1]).eval()
    found = {BILINEAR: Subject(BILINEAR, lambda: bilinear(x))}
    for name in TARGETS:
        module = upsamplers.create(name, SHAPE[1]).eval()
        assert isinstance(module, DySample)
        torch.testing.assert_close(module(x), published(module, x), rtol=1e-4, atol=1e-4)
        found[name] = Subject(name, lambda module=module: module(x))
        found[theirs(name)] = Subject(theirs(name), lambda module=module: published(module, x))
    return found


def measure(measured: Sequence[Subject], settings: Settings) -> str:
    """Times them all, and tells how."""
    device = Cpu()
    device.prepare(settings)

    def take(subject: Subject, count: int) -> Timings:
        return device.time(subject.call, count)

    for one in measured:
        warm_up(one, take, settings)
    interleave(measured, take, settings, lambda: False, lambda subject: None)
    return device.timing_method()


def ratio(one: Subject, other: Subject) -> Estimate:
    """The median ratio within a round, and its interval."""
    found = paired_ratio(one.by_round(), other.by_round())
    assert found is not None
    return found


def told(estimate: Estimate) -> str:
    """A ratio with its interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def main(seconds: float, threads: int) -> int:
    """Prints the table; 1 where a target is missed, else 0."""
    begun, others = time.perf_counter(), seconds_of_others()
    with torch.inference_mode():
        measured = subjects()
        settings = Settings(threads=threads, malloc="keep", max_time=seconds, target_ci=0.005)
        method = measure(list(measured.values()), settings)
    others = (seconds_of_others() - others) / (time.perf_counter() - begun)
    bilinear = measured[BILINEAR]
    print(f"x {SHAPE} float32, s=2, inference; {method}; {label('cpu')}")
    print(f"{len(bilinear.rounds)} rounds; median ratios with their 95 % intervals")
    if others > DISTURBED:
        print(f"DISTURBED: other processes held {others:.1f} cores meanwhile; measure again on a quiet machine")
    print(ROW.format("", "target", "ours / bilinear", "published / bilinear", "ours / published", "target"))
    missed = 0
    for name, target in TARGETS.items():
        ours, reference = measured[name], measured[theirs(name)]
        cost = ratio(ours, bilinear)
        missed += cost.value > target
        verdict = "missed" if cost.value > target else "met"
        cells = told(cost), told(ratio(reference, bilinear)), told(ratio(ours, reference))
        print(ROW.format(name, f"{target:.2f}", *cells, verdict))
    return int(missed > 0)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    sys.exit(main(float(arguments.get(1, 3)), int(arguments.get(2, 2))))
