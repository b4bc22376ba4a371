"""A study's scores on processes made up: alike, slower by real work, and noisy."""

import json
import random
from pathlib import Path

import pytest

from studies.compare_rule import data, page, rules
from studies.compare_rule.lines import timings, to_line
from studies.compare_rule.score import Rate, injected, score
from upsampler_bench.compare.samples import BASE, HEAD, Point, Timing
from upsampler_bench.errors import PlanError

OPERATORS, PERCENTS, SIZE = ("bilinear", "carafe"), (5, 10), 16


@pytest.fixture
def folder(tmp_path):
    """Two whole jobs and a part of one, of processes that differ by half a per cent."""
    chance = random.Random(0)
    setup = {"operators": OPERATORS, "percents": PERCENTS, "case": "1x64x32x32", "processes": SIZE}
    (tmp_path / "setup.json").write_text(json.dumps(setup))
    lines = [line(chance, number) for number in range(2 * SIZE + 3)]
    (tmp_path / "points-quiet.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return tmp_path


def line(chance, number):
    cases = {}
    for name in OPERATORS:
        for percent in (0, *PERCENTS):
            middle = 1e6 * (1 + percent / 100) * chance.lognormvariate(0, 0.005)
            rounds = [round(middle * chance.lognormvariate(0, 0.002)) for _ in range(8)]
            cases[f"{name}~{percent}" if percent else name] = [min(rounds), *rounds]
    return {"job": number // SIZE, "process": number % SIZE, "yardstick": [1_000_000] * 8, "cases": cases}


def test_only_whole_jobs_count_and_arms_alternate(folder):
    study = data.read(folder)
    assert [(one.load, one.number) for one in study.jobs] == [("quiet", 0), ("quiet", 1)]
    points = study.jobs[0].points()
    assert [one.arm for one in points[:8]] == [BASE, HEAD, HEAD, BASE] * 2
    assert len(points) == SIZE


def test_the_heads_operators_are_the_slower_ones(folder):
    job = data.read(folder).jobs[0]
    base, head = job.points(10)[:2]
    assert head.timings["carafe"].least / base.timings["carafe"].least == pytest.approx(1.1, rel=0.02)
    assert set(head.timings) == set(OPERATORS)


def test_jobs_of_the_same_code_alone_count_for_false_alarms_alone(folder):
    chance = random.Random(2)
    found = [line(chance, number) for number in range(SIZE)]
    for one in found:
        one["cases"] = {name: one["cases"][name] for name in OPERATORS}
    (folder / "same-quiet.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in found))
    study = data.read(folder)
    rates = score(rules.ours(), study.jobs)
    assert (rates.alarms.count, rates.found[10].count) == (6, 4)
    assert "### Quiet: 2 jobs of 2 operators, slower too and 1 job of 2 operators" in page.page(study)


def test_a_comparison_to_its_end_is_scored_on_jobs_joined(folder):
    chance = random.Random(3)
    found = [line(chance, number) for number in range(9 * SIZE)]
    (folder / "points-quiet.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in found))
    study = data.read(folder)
    whole = data.joined(study.jobs)
    assert [len(one.processes) for one in whole] == [64, 64]
    assert [one.arm for one in whole[1].points()[:4]] == [BASE, HEAD, HEAD, BASE]
    rates = score(rules.to_the_end(), whole)
    assert (rates.alarms.hits, rates.alarms.count, rates.found[10].value) == (0, 4, 1.0)
    assert rates.flagged[5].value == 1.0
    assert "ours to its end" in page.page(study)


def test_a_case_settled_at_the_first_look_keeps_its_verdict():
    timing = {middle: Timing((middle,) * 8, (1.0,) * 8, middle) for middle in (1.0, 1.1, 0.5)}
    early = [(HEAD, 1.1), (BASE, 1.0)] * 8
    late = [(HEAD, 0.5), (BASE, 1.0)] * 24
    points = [Point(arm, {"carafe": timing[middle]}) for arm, middle in early + late]
    assert rules.to_the_end()(points, ("carafe",)) == {"carafe": "SLOWER"}
    assert rules.ours()(points, ("carafe",)) == {"carafe": "FASTER"}


def test_a_line_is_read_as_it_was_written():
    timing = Timing((2e-3, 1e-3), (5e-4, 6e-4), 9e-4)
    point = Point(BASE, {"carafe/1x64x32x32/x2": timing}, {"fade/1x64x32x32/x2": "wrong"}, 0.5)
    written = json.loads(json.dumps(to_line(point, 3, 4, "now")))
    assert timings(written)["carafe"].least == pytest.approx(9e-4)
    assert timings(written)["carafe"].rounds == pytest.approx(timing.rounds)
    assert (written["job"], written["process"], written["lost"]) == (3, 4, {"fade": "wrong"})


def test_our_rule_finds_ten_per_cent_and_raises_no_alarm(folder):
    study = data.read(folder)
    found = score(rules.ours(), study.jobs)
    assert (found.alarms.hits, found.alarms.count, found.jobs.count) == (0, 4, 2)
    assert found.found[10].value == 1.0
    assert found.flagged[5].value >= found.found[5].value
    assert injected(study.jobs) == pytest.approx({5: 5, 10: 10}, abs=0.7)


@pytest.mark.parametrize("name", list(rules.published()))
def test_other_peoples_rules_answer_for_every_case(folder, name):
    study = data.read(folder)
    answer = rules.published()[name](study.jobs[0].points(10), OPERATORS)
    assert set(answer) == set(OPERATORS)


def test_every_rule_calls_a_factor_of_two_slower():
    chance = random.Random(1)
    lines = [line(chance, number) for number in range(SIZE)]
    for number, one in enumerate(lines):
        for name in OPERATORS:
            one["cases"][f"{name}~10"] = [2 * value for value in one["cases"][name]] if number % 4 in (1, 2) else [1]
    study = data.Study("", (data.Job("quiet", 0, tuple(map(timings, lines))),))
    for name, answer in {**rules.published(), "ours": rules.ours()}.items():
        assert set(answer(study.jobs[0].points(10), OPERATORS).values()) == {"SLOWER"}, name


def test_intervals_are_exact():
    assert Rate(0, 300).most == pytest.approx(0.00994, abs=1e-4)
    assert Rate(5, 10).interval == pytest.approx((0.187, 0.813), abs=1e-3)


def test_the_page_tells_each_load_and_counts(folder):
    text = page.page(data.read(folder))
    assert "### Quiet: 2 jobs of 2 operators, slower too" in text
    assert "0/4 = 0%" in text
    assert "chosen" not in text


def test_jobs_that_the_rule_was_chosen_on_score_nothing(folder):
    setup = json.loads((folder / "setup.json").read_text())
    (folder / "setup.json").write_text(json.dumps({**setup, "chosen_on": {"quiet": 1}}))
    study = data.read(folder)
    assert [one.number for one in study.under("quiet")] == [1]
    text = page.page(study)
    assert "### Quiet: 1 job of" in text
    assert "chosen among, on 1 job quiet" in text


def test_a_folder_without_a_study_is_said_so(tmp_path, folder):
    with pytest.raises(PlanError, match="study collect"):
        data.read(tmp_path / "none")
    (folder / "points-quiet.jsonl").write_text("")
    with pytest.raises(PlanError, match="no whole job"):
        data.read(folder)


def test_the_published_rates_are_those_of_the_committed_processes():
    root = Path(__file__).parents[2]
    text = page.page(data.read(root / "studies" / "compare_rule" / "amd-epyc"))
    assert text in (root / "docs" / "regression.md").read_text(encoding="utf-8")
