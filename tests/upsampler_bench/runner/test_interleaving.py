"""The interleaved protocol on a made-up clock."""

import random

import pytest

from upsampler_bench.case import Settings
from upsampler_bench.device import Timings
from upsampler_bench.runner.interleaving import Subject, interleave, warm_up
from upsampler_bench.stats import paired_ratio


class Bench:
    """Makes up how long calls take, and remembers who was called."""

    def __init__(self, seconds, noise=0.0, load=lambda turn: 1.0):
        self.seconds, self.noise, self.load = seconds, noise, load
        self.random, self.order = random.Random(0), []

    def __call__(self, subject, count):
        self.order.append(subject.name)
        slow = self.load(len(self.order))
        each = self.seconds[subject.name]
        if each is None:
            return None
        return Timings(tuple(each * slow * (1 + abs(self.random.gauss(0, self.noise))) for _ in range(count)))


def measure(bench, settings=None, ended=lambda: ""):
    subjects, finished = [Subject(name, lambda: None) for name in bench.seconds], []
    settings = settings or Settings()
    for subject in subjects:
        warm_up(subject, bench, settings)
    interleave(subjects, bench, settings, ended, lambda subject: finished.append(subject.name))
    return {subject.name: subject for subject in subjects}, finished


def test_a_quiet_operator_stops_at_the_precision():
    found, _ = measure(Bench({"bilinear": 0.010, "other": 0.020}, noise=0.002))
    assert found["other"].stop == "within 1.0%"
    assert len(found["other"].samples) >= 30


def test_a_slow_operator_gets_the_rounds_that_an_interval_needs_but_not_much_beyond_its_time_limit():
    found, _ = measure(Bench({"bilinear": 0.010, "slow": 1.0, "slower": 2.0}), Settings(max_time=5.0))
    assert len(found["slow"].rounds) == 8
    assert found["slower"].spent <= 2 * 5.0 + 2.0
    assert len(found["slower"].rounds) < 8


def test_of_three_processes_each_takes_a_third_of_the_samples_and_of_the_time():
    alone, _ = measure(Bench({"bilinear": 0.010, "slow": 0.1, "slower": 2.0}), Settings(max_time=6.0))
    shared, _ = measure(Bench({"bilinear": 0.010, "slow": 0.1, "slower": 2.0}), Settings(max_time=6.0, processes=3))
    assert (len(alone["slow"].rounds), len(shared["slow"].rounds)) == (30, 10)
    assert shared["slow"].stop == alone["slow"].stop == "within 1.0%"
    # Its warm-up, which each process repeats, counts too.
    assert (len(alone["slower"].rounds), len(shared["slower"].rounds)) == (6, 1)
    assert shared["slower"].stop == "time limit of 6 s"
    fixed, _ = measure(Bench({"bilinear": 0.010, "slow": 0.1}), Settings(rounds=8, processes=3))
    assert len(fixed["slow"].rounds) == 3


def test_a_noisy_operator_stops_where_it_no_longer_improves_or_at_its_time_limit():
    found, _ = measure(Bench({"bilinear": 0.010, "other": 0.020}, noise=3.0), Settings(max_time=2.0))
    assert found["other"].stop == "time limit of 2 s"
    bench = Bench({"bilinear": 0.010, "other": 0.020}, load=lambda turn: 1 + turn % 40)
    steady, _ = measure(bench, Settings(max_time=1e9))
    assert steady["other"].stop == "no longer improving"


def test_a_slow_operator_is_timed_once_a_round_and_a_fast_one_a_few_times():
    found, _ = measure(Bench({"bilinear": 0.0005, "slow": 1.0}))
    assert (found["bilinear"].turn, found["slow"].turn) == (8, 1)


def test_every_round_times_everyone_in_an_order_of_its_own():
    bench = Bench({"bilinear": 0.01, "a": 0.01, "b": 0.01}, noise=0.5)
    measure(bench, Settings(warmup_calls=1, warmup_seconds=0.0))
    rounds = [tuple(bench.order[i : i + 3]) for i in range(3, len(bench.order) - 2, 3)][:10]
    assert all(sorted(names) == ["a", "b", "bilinear"] for names in rounds)
    assert len(set(rounds)) > 2


def test_the_baseline_goes_on_while_any_other_does_and_ends_last():
    found, finished = measure(Bench({"bilinear": 0.01, "noisy": 0.01}, noise=0.3), Settings(max_time=3.0))
    assert len(found["bilinear"].rounds) == len(found["noisy"].rounds)
    assert finished[-1] == "bilinear"


def test_the_paired_ratio_survives_load_that_moves_the_median_twofold():
    found, _ = measure(
        Bench({"bilinear": 0.010, "other": 0.015}, noise=0.01, load=lambda turn: 2.5 if turn // 30 % 2 else 1.0),
        Settings(max_time=5.0),
    )
    ratio = paired_ratio(found["other"].by_round(), found["bilinear"].by_round())
    assert ratio.value == pytest.approx(1.5, rel=0.02)


def test_an_operator_that_fails_does_not_affect_the_others():
    found, finished = measure(Bench({"bilinear": 0.01, "broken": None, "fine": 0.01}))
    assert found["broken"].stop == "failed"
    assert sorted(finished) == ["bilinear", "fine"]
    assert len(found["fine"].samples) >= 30


def test_where_the_baseline_fails_later_the_others_stop_at_their_own_precision():
    class Failing(Bench):
        def __call__(self, subject, count):
            return None if subject.name == "bilinear" and len(subject.rounds) == 3 else super().__call__(subject, count)

    found, _ = measure(Failing({"bilinear": 0.01, "fine": 0.01}, noise=0.001))
    assert (found["bilinear"].stop, found["fine"].stop) == ("failed", "within 1.0%")


def test_an_interrupt_keeps_what_was_sampled():
    answers = iter([""] * 6)
    found, finished = measure(Bench({"bilinear": 0.01, "a": 0.01}), ended=lambda: next(answers, "interrupted"))
    assert sorted(finished) == ["a", "bilinear"]
    assert found["a"].stop == "interrupted"
    assert found["a"].samples


def test_warm_up_reaches_both_its_time_and_its_calls():
    bench = Bench({"fast": 0.001, "slow": 0.2})
    for name in bench.seconds:
        warm_up(Subject(name, lambda: None), bench, Settings())
    assert bench.order.count("fast") == 100
    assert bench.order.count("slow") == 10


def test_an_interval_over_calls_that_are_alike_within_a_round_still_covers():
    """Nominally 95 %; calls of one round share what that round does to them."""
    covered = 0
    for seed in range(60):
        noise = random.Random(seed)

        def take(subject, count, noise=noise):
            common = noise.gauss(0, 0.01)
            return Timings(tuple(0.004 * (1 + common + noise.gauss(0, 0.002)) for _ in range(count)))

        subjects = [Subject(name, lambda: None, turn=8) for name in ("bilinear", "other")]
        interleave(subjects, take, Settings(seed=seed), lambda: False, lambda subject: None)
        ratio = paired_ratio(subjects[1].by_round(), subjects[0].by_round())
        covered += ratio.low <= 1.0 <= ratio.high
    assert covered >= 0.85 * 60


def test_no_operator_stops_before_rounds_enough_to_bound_a_median():
    found, _ = measure(Bench({"bilinear": 0.001, "other": 0.001}), Settings(min_samples=1))
    assert len(found["other"].rounds) >= 8
