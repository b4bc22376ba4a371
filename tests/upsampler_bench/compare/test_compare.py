"""Comparisons told: two stored runs, budgets, the exit code, the report."""

from dataclasses import replace

import pytest
from sample_run import FIGURES, plain_run

from upsampler_bench import formats
from upsampler_bench.compare import budgets, exit_code, report, stored_runs
from upsampler_bench.compare.comparison import INTERRUPTED, WHOLE, Change, Duel
from upsampler_bench.compare.rank_statistics import Shift
from upsampler_bench.compare.rule import DEFAULT, FASTER, SAME, SLOWER, UNCLEAR, Finding
from upsampler_bench.compare.samples import BASE, HEAD, Point, Timing
from upsampler_bench.errors import PlanError

END = "/1x64x32x32/x2/float32/contiguous/cpu/inference"
CARAFE, DYSAMPLE, BILINEAR = (f"{name}{END}" for name in ("carafe", "dysample", "bilinear"))


def finding(key, verdict, ratio=1.0):
    return Finding(key, verdict, Shift(ratio, ratio * 0.99, ratio * 1.01), (), 0.001, 0.5, 8, 8)


def duel(*findings, **options):
    seconds = {BILINEAR: 1e-3, DYSAMPLE: 1.4e-3, CARAFE: 3e-3}
    timings = {key: Timing((value,) * 4, (1e-3,) * 4, value) for key, value in seconds.items()}
    points = tuple(Point(arm, timings) for arm in (BASE, HEAD) * 8)
    keys = tuple(one.key for one in findings)
    return Duel(
        "base (1a2b3c4)", "head (the working tree)", END[1:], keys, DEFAULT, points, findings, stopped=WHOLE, **options
    )


def run():
    return plain_run({name: FIGURES[name] for name in ("bilinear", "carafe", "dysample")})


def test_a_run_against_itself_has_no_change():
    found = stored_runs.compare(run(), run())
    assert found.changes == ()
    assert {one.verdict for one in found.pairs} == {stored_runs.ALIKE}
    assert stored_runs.code(found, "inconclusive") == 0


def changed(metric, factor, operator="carafe"):
    """The run with one metric of one operator multiplied."""

    def each(measurement):
        if measurement.case.upsampler != operator:
            return measurement
        return replace(measurement, readings=tuple(scaled(one) for one in measurement.readings))

    def scaled(reading):
        if reading.metric != metric:
            return reading
        return replace(reading, rounds=tuple(tuple(factor * one for one in rounds) for rounds in reading.rounds))

    before = run()
    return replace(before, measurements=tuple(each(one) for one in before.measurements))


def test_an_exact_figure_has_no_tolerance():
    found = stored_runs.compare(run(), changed("inference_memory", 1.0001))
    assert [(one.operator, one.info.name) for one in found.changes] == [("carafe", "inference_memory")]
    assert stored_runs.code(found, "regression") == 1
    assert stored_runs.code(found, "never") == 0
    assert stored_runs.code(stored_runs.compare(changed("inference_memory", 1.0001), run()), "regression") == 0
    told = formats.render("terminal", stored_runs.report(found, "old.json", "new.json"))
    assert "Exact figures that changed" in told


def test_timings_of_stored_runs_are_advice():
    found = stored_runs.compare(run(), changed("latency", 1.5))
    assert {one.operator for one in found.pairs if one.verdict == stored_runs.WORSE} == {"carafe"}
    assert stored_runs.code(found, "regression") == 0
    assert stored_runs.code(found, "inconclusive") == 3
    assert "worse" in formats.render("markdown", stored_runs.report(found, "old.json", "new.json"))


@pytest.mark.parametrize("key", ["device", "torch", "threads"])
def test_runs_that_were_measured_differently_are_refused_with_the_keys(key):
    other = run()
    where = other.environment
    other = {
        "device": replace(other, environment=replace(where, device_name="another")),
        "torch": replace(other, environment=replace(where, versions={**where.versions, "torch": "9.9"})),
        "threads": replace(other, settings=replace(other.settings, threads=7)),
    }[key]
    with pytest.raises(PlanError, match=f"not comparable: {key}: "):
        stored_runs.compare(run(), other)


def test_runs_that_share_no_case_are_refused():
    with pytest.raises(PlanError, match="share no case"):
        stored_runs.compare(plain_run({"carafe": FIGURES["carafe"]}), plain_run({"bilinear": FIGURES["bilinear"]}))


def test_operators_that_come_and_go_are_told_and_fail_nothing():
    less = plain_run({name: FIGURES[name] for name in ("bilinear", "carafe")})
    found = stored_runs.compare(less, run())
    assert all(key.startswith("dysample") for key in found.added)
    assert stored_runs.code(found, "regression") == 0
    assert stored_runs.compare(run(), less).removed == found.added


@pytest.mark.parametrize(
    ("made", "fail_on", "code"),
    [
        (duel(finding(CARAFE, SAME)), "regression", 0),
        (duel(finding(CARAFE, SLOWER, 1.1)), "regression", 1),
        (duel(finding(CARAFE, SLOWER, 1.1)), "never", 0),
        (duel(finding(CARAFE, FASTER, 0.9)), "inconclusive", 0),
        (duel(finding(CARAFE, UNCLEAR)), "regression", 0),
        (duel(finding(CARAFE, UNCLEAR)), "inconclusive", 3),
        (duel(finding(CARAFE, SLOWER, 1.1), control=(finding(CARAFE, SLOWER),)), "regression", 0),
        (duel(finding(CARAFE, SLOWER, 1.1), control=(finding(CARAFE, SLOWER),)), "inconclusive", 3),
        (duel(finding(CARAFE, SAME), changes=(Change(CARAFE, "flops_mac", 10, 11),)), "regression", 1),
        (duel(finding(CARAFE, SAME), changes=(Change(CARAFE, "flops_mac", 11, 10),)), "regression", 0),
        (duel(finding(CARAFE, SAME), changes=(Change(CARAFE, "flops_mac", 10, 11),), alike=False), "regression", 0),
        (duel(finding(CARAFE, SLOWER), wrong={CARAFE: "wrong output: not finite"}), "regression", 4),
        (replace(duel(finding(CARAFE, SAME)), stopped=INTERRUPTED), "regression", 130),
    ],
)
def test_the_exit_code_says_what_was_found(made, fail_on, code):
    assert exit_code.code([made], fail_on) == code


def test_budgets_are_held_against_the_head(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[dysample]\nlatency = "1.5x bilinear"\n[carafe]\nmemory = "160 MiB"\nlatency = "2 ms"\n')
    made = duel(
        finding(DYSAMPLE, SAME), finding(CARAFE, SAME), finding(BILINEAR, SAME),
        exact={CARAFE: {"inference_memory": 200 * 2**20}},
    )  # fmt: skip
    held = budgets.hold(budgets.read(path, "inference"), [made])
    assert [one.verdict for one in held] == ["KEPT", "BROKEN", "BROKEN"]
    assert held[0].value.value == pytest.approx(1.4)
    assert exit_code.code([made], "regression", held) == 1
    assert "160 MiB" in formats.render("markdown", report.report([made], held))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dysample = 1", "is no table"),
        ("[dysample]\nlatency = 1.5", "expected a text such as"),
        ('[dysample]\nlatency = "1.5x"', "say against which operator"),
        ('[dysample]\nspeed = "1 ms"', "no metric 'speed'"),
        ('[dysample]\nlatency = "fast"', "expected a number above 0"),
        ("[", "cannot read budgets"),
        ('[dysample]\ntrain_latency = "1 ms"', "not measured in mode inference; expected --mode train"),
    ],
)
def test_budgets_that_are_not_understood_are_refused(tmp_path, text, said):
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=said):
        budgets.read(path, "inference")


def test_a_ratio_of_exact_figures_is_held_as_one(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[dysample]\nmemory = "2x bilinear"\n[carafe]\nmemory = "2× bilinear"\nparams = "10K"\n')
    memory = {BILINEAR: 100.0, DYSAMPLE: 190.0, CARAFE: 210.0}
    exact = {key: {"inference_memory": value, "params_all": 5e3} for key, value in memory.items()}
    made = duel(*(finding(key, SAME) for key in memory), exact=exact)
    held = budgets.hold(budgets.read(path, "inference"), [made])
    assert [(one.verdict, one.value.value) for one in held] == [("KEPT", 1.9), ("BROKEN", 2.1), ("KEPT", 5e3)]


def test_exact_figures_may_be_left_to_a_committed_baseline():
    made = duel(finding(CARAFE, SAME), changes=(Change(CARAFE, "flops_mac", 1.0, 2.0),))
    assert (exit_code.code([made], "regression"), exit_code.code([made], "slower")) == (1, 0)
    assert exit_code.code([duel(finding(CARAFE, SLOWER, 1.1))], "slower") == 1


def test_a_budget_of_an_operator_that_was_not_compared_is_unclear(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[fade]\nlatency = "1 ms"')
    made = duel(finding(CARAFE, SAME))
    held = budgets.hold(budgets.read(path, "inference"), [made])
    assert [(one.verdict, one.why) for one in held] == [("UNCLEAR", "not compared here")]
    assert exit_code.code([made], "inconclusive", held) == 3


def test_the_report_tells_where_each_side_was_measured():
    one = duel(finding(CARAFE, SAME))
    here = replace(one, points=tuple(replace(point, where="a CPU, torch 2.13.0, 1 thread") for point in one.points))
    assert ("Device", "a CPU, torch 2.13.0, 1 thread") in report.report([here]).facts
    other = [replace(point, where="a CPU, torch 2.4.0, 1 thread") for point in here.points if point.arm == BASE]
    mixed = replace(here, points=(*other, *(point for point in here.points if point.arm == HEAD)))
    facts = dict(report.report([mixed]).facts)
    assert (facts["Device of the base"], facts["Device of the head"]) == (
        "a CPU, torch 2.4.0, 1 thread", "a CPU, torch 2.13.0, 1 thread",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "html", "latex"])
def test_every_format_tells_the_verdicts(name):
    made = duel(
        finding(CARAFE, SLOWER, 1.1), finding(DYSAMPLE, SAME), added=("new-one",), control=(finding(CARAFE, SAME),)
    )
    drawn = report.report([made])
    text = formats.render(name, drawn) if name != "html" else formats.get("html").files(drawn)["report.html"].decode()
    assert "SLOWER" in text
    assert "1.1" in text


def test_the_summary_counts_and_gives_the_mean():
    made = duel(
        finding(CARAFE, SLOWER, 1.21), finding(DYSAMPLE, SAME), replace(finding(BILINEAR, UNCLEAR), hidden=True)
    )
    assert report.summary(made).startswith("1 SLOWER, 1 SAME, 1 UNCLEAR; geometric mean 1.066×; 1 beyond")
