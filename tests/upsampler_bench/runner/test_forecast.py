"""The time left of runs on a made-up clock, beside how long they then take."""

import random
from dataclasses import replace
from functools import partial

import pytest

from upsampler_bench import plan
from upsampler_bench.case import TIMED, TRAIN, Case
from upsampler_bench.device import Timings
from upsampler_bench.results import Reading
from upsampler_bench.runner import forecast
from upsampler_bench.runner.forecast import Forecast
from upsampler_bench.runner.interleaving import Subject, interleave, seconds_needed, warm_up
from upsampler_bench.runner.protocol import Message

OPERATORS = ("nearest", "bilinear", "deconv", "carafe", "indexnet", "a2u", "fade", "sapa-b", "dysample", "dysample+")
# Nanoseconds per element of the output, from the fastest operator to the slowest.
SPEEDS = dict(zip(OPERATORS, (1, 2, 15, 8, 45, 9, 11, 8, 3, 3), strict=True))

# Seconds between two looks at the time left.
EVERY = 2.0


class Machine:
    """Measures cases as `runner.group` does, and makes up how long everything takes."""

    def __init__(self, *, faster=1.0, compiling=20.0, slow=(), skipped=(), noise=0.01):
        self.faster, self.compiling, self.slow, self.skipped, self.noise = faster, compiling, slow, skipped, noise
        self.now, self.random = 0.0, random.Random(0)

    def call(self, case):
        """Seconds of one call."""
        seconds = SPEEDS[case.upsampler] * 1e-9 * case.elements * (4 if case.mode == TRAIN else 1) / self.faster
        return seconds * (20 if case.upsampler in self.slow else 1) + 1e-4

    def run(self, cases, settings, begin, update, lost):
        """Measures all groups one after the other, in each of the processes that share their timing."""
        earlier, skipped = {case.key: Subject("", lambda: 0.0) for case in cases}, set()
        for left in range(settings.processes, 0, -1):
            for group in plan.conditions(cases):
                begin(group)
                self.now += 5.0
                for case in [case for case in group if case not in skipped]:
                    self._prepare(case, update, again=left < settings.processes)
                    if case.upsampler in self.skipped:
                        skipped.add(case)
                        lost(case)
                self._time([case for case in group if case not in skipped], settings, update, earlier, left)

    def _prepare(self, case, update, *, again):
        call = self.call(case)
        compiling = self.compiling * self.random.uniform(0.5, 2.0) if case.backend == "compile" else 0.0
        steps = {"build": 0.1, "first call": call + compiling, "output check": 2 * call, "flops": 0.4 + call}
        for step, seconds in steps.items():
            update(Message("at", case.key, step))
            self.now += seconds
            if step == "first call" and (again or case.upsampler in self.skipped):
                return

    def _time(self, cases, settings, update, earlier, processes_left):
        subjects = {case.key: Subject(case.upsampler, partial(self.call, case)) for case in cases}
        keys = {id(subject): key for key, subject in subjects.items()}

        def time(subject, count):
            # As `runner.scheduler` tells it, of all processes.
            before = earlier[keys[id(subject)]]
            facts = {"rounds": subject.rounds and len(subject.rounds) + len(before.rounds)}
            facts |= {"samples": subject.count + before.count, "spent": subject.timed + before.timed}
            finished = settings.processes - processes_left
            of_one = before.timed / finished if finished else subject.count and seconds_needed(subject, settings)
            facts["needed"] = settings.processes * (of_one or 0.0)
            update(Message("at", keys[id(subject)], "latency", facts=facts))
            each = [subject.call() * (1 + abs(self.random.gauss(0, self.noise))) for _ in range(count)]
            self.now += sum(each) * 1.1 + 1e-3
            return Timings(tuple(each))

        def finished(subject):
            before = earlier[keys[id(subject)]]
            before.rounds += subject.rounds
            before.count += subject.count
            before.spent += subject.timed
            facts = {} if processes_left > 1 else {"stop": subject.stop}
            done = settings.processes - processes_left
            counts = (1,) * done + (len(before.rounds) - done,)
            metric = TIMED[cases[0].mode]
            reading = Reading(metric, tuple(before.by_round()), "fake clock", facts=facts, processes=counts)
            update(Message("reading", keys[id(subject)], reading=reading))

        for subject in subjects.values():
            warm_up(subject, time, settings)
        interleave(list(subjects.values()), time, settings, str, finished)


def followed(machine, keys):
    """Every two seconds the time and the time left, and what was expected before the run."""
    parsed = plan.parse({"device": "cpu", "upsampler": list(OPERATORS), "mode": "inference", "max_time": 5.0, **keys})
    cases = plan.cases(parsed, OPERATORS, "cpu")
    forecasts = Forecast(cases, parsed.settings, clock=lambda: machine.now)
    points = []

    def update(message):
        forecasts.update(message)
        if not points or machine.now > points[-1][0] + EVERY:
            points.append((machine.now, forecasts.left()))

    machine.run(cases, parsed.settings, forecasts.begin, update, lambda case: forecasts.finish(case.key, lost=True))
    return points, forecast.expected(cases, parsed.settings)


PLANS = {
    "the standard plan": (Machine(), {}),
    "a machine three times as fast": (Machine(faster=3.0), {"mode": ["inference", "train"]}),
    "a machine five times as slow": (Machine(faster=0.2), {}),
    "a noisy machine": (Machine(noise=0.1), {}),
    "training": (Machine(), {"mode": ["inference", "train"]}),
    "sizes far apart": (Machine(), {"shape": ["32x16x16", "64x48x48", "256x120x120"], "max_time": 2.0}),
    "slow operators": (Machine(slow=("fade", "a2u", "carafe")), {"mode": ["inference", "train"]}),
    "skipped operators": (Machine(skipped=OPERATORS[2:7]), {"mode": ["inference", "train"]}),
    "operators that are compiled": (Machine(), {"backend": ["torch", "compile"], "shape": ["64x48x48", "64x60x60"]}),
}


@pytest.mark.parametrize("name", PLANS)
def test_from_a_quarter_of_the_run_on_the_time_left_is_right_within_a_factor_of_one_and_a_half(name):
    machine, keys = PLANS[name]
    points, (_, most) = followed(machine, keys)
    end = machine.now
    assert end <= most
    wrong = {
        f"{now / end:.0%}": (round(left, 1), round(end - now, 1))
        for now, left in points
        if now > end / 4 and not (end - now) / 1.5 - 0.02 * end <= left <= 1.5 * (end - now) + 0.02 * end
    }
    assert not wrong


def test_an_image_that_is_larger_than_the_output_takes_the_longer():
    small = Case("jafar", channels=384, height=28, width=28)
    assert forecast.call_seconds(replace(small, guide_image="448x448")) == 64 * forecast.call_seconds(small)
    assert forecast.call_seconds(replace(small, guide_image="28x28")) == forecast.call_seconds(small)
