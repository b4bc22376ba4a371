"""Scores on made-up jobs (alike, slowed by real work, noisy), and the published table."""

import json
import random
from pathlib import Path

import pytest

from studies.compare_rule import data, rules
from studies.compare_rule.data import PROCESSES, timings, to_line
from studies.compare_rule.score import Rate, candidates_table, extra_work, score, tables
from upsampler_bench.compare.samples import BASE, HEAD, Sample, Timing
from upsampler_bench.errors import PlanError

ROOT = Path(__file__).parents[2]
OPERATORS, PERCENTS = ("bilinear", "carafe"), (5, 10)


@pytest.fixture
def folder(tmp_path):
    """Two complete jobs and a part of one, of processes that differ by half a per cent."""
    setup = {"operators": OPERATORS, "percents": PERCENTS, "case": "1x64x32x32", "processes": PROCESSES}
    (tmp_path / "setup.json").write_text(json.dumps(setup))
    write(tmp_path / "points-quiet.jsonl", lines(2 * PROCESSES + 3))
    return tmp_path


def lines(count, percents=(0, *PERCENTS), seed=0):
    chance = random.Random(seed)
    made = []
    for number in range(count):
        cases = {}
        for name in OPERATORS:
            for percent in percents:
                middle = 1e6 * (1 + percent / 100) * chance.lognormvariate(0, 0.005)
                rounds = [round(middle * chance.lognormvariate(0, 0.002)) for _ in range(8)]
                cases[f"{name}~{percent}" if percent else name] = [min(rounds), *rounds]
        made.append({"job": number // PROCESSES, "process": number, "cases": cases})
    return made


def write(path, content):
    path.write_text("".join(f"{json.dumps(line)}\n" for line in content))


def test_only_complete_jobs_count_and_sides_alternate(folder):
    jobs = data.read(folder).jobs
    assert [job.load for job in jobs] == ["quiet", "quiet"]
    samples = jobs[0].samples()
    assert [sample.side for sample in samples[:8]] == [BASE, HEAD, HEAD, BASE] * 2
    assert len(samples) == PROCESSES


def test_the_heads_operators_are_the_slowed_ones(folder):
    base, head = data.read(folder).jobs[0].samples(10)[:2]
    assert head.timings["carafe"].fastest / base.timings["carafe"].fastest == pytest.approx(1.1, rel=0.02)
    assert set(head.timings) == set(OPERATORS)


def test_jobs_without_slowed_operators_count_for_false_alarms_alone(folder):
    write(folder / "same-quiet.jsonl", lines(PROCESSES, (0,), seed=2))
    study = data.read(folder)
    rates = score(rules.first_look, study.jobs)
    assert (rates.alarms.count, rates.found[10].count) == (6, 4)
    assert "### Quiet: 2 jobs of 2 operators and slowed copies, 1 job of 2 operators" in tables(study)


def test_all_looks_are_scored_on_joined_jobs(folder):
    write(folder / "points-quiet.jsonl", lines(9 * PROCESSES, seed=3))
    study = data.read(folder)
    comparisons = data.joined(study.jobs)
    assert [len(job.processes) for job in comparisons] == [64, 64]
    assert [sample.side for sample in comparisons[1].samples()[:4]] == [BASE, HEAD, HEAD, BASE]
    rates = score(rules.all_looks, comparisons)
    assert (rates.alarms.hits, rates.alarms.count, rates.found[10].value) == (0, 4, 1.0)
    assert rates.flagged[5].value == 1.0
    assert "ours to its end" in tables(study)


def test_a_case_decided_at_the_first_look_keeps_its_verdict():
    early = [(HEAD, 1.1), (BASE, 1.0)] * 8
    late = [(HEAD, 0.5), (BASE, 1.0)] * 24
    samples = [Sample(side, {"carafe": Timing((time,) * 8, time)}) for side, time in early + late]
    assert rules.all_looks(samples, ("carafe",)) == {"carafe": "SLOWER"}
    assert rules.first_look(samples, ("carafe",)) == {"carafe": "FASTER"}


def test_a_change_that_only_one_statistic_shows_is_unclear():
    chance = random.Random(0)
    samples = []
    for _ in range(8):
        base, head = chance.lognormvariate(0, 0.002), 1.2 * chance.lognormvariate(0, 0.002)
        samples.append(Sample(BASE, {"carafe": Timing((base,) * 4, base)}))
        samples.append(Sample(HEAD, {"carafe": Timing((head,) * 4, 1.0)}))
    assert rules.agreeing(samples, ["carafe"], ("quartile",), 0.05) == {"carafe": "SLOWER"}
    assert rules.agreeing(samples, ["carafe"], ("quartile", "least"), 0.05) == {"carafe": "UNCLEAR"}


def test_the_fastest_call_alone_is_our_rule(folder):
    samples = data.read(folder).jobs[0].samples(5)
    assert rules.agreeing(samples, OPERATORS, ("least",), 0.05) == rules.first_look(samples, OPERATORS)


def test_statistics_are_what_their_names_say():
    timing = Timing((1.0, 2.0, 3.0, 4.0), 0.5)
    values = {name: statistic(timing) for name, statistic in rules.STATISTICS.items()}
    expected = {"least": 0.5, "quartile": 1.75, "median": 2.5}
    assert values == pytest.approx(expected)


def test_a_line_is_read_as_it_was_written():
    timing = Timing((2e-3, 1e-3), 9e-4)
    sample = Sample(BASE, {"carafe/1x64x32x32/x2": timing}, {"fade/1x64x32x32/x2": "wrong"}, 0.5)
    line = json.loads(json.dumps(to_line(sample, 3, 4, "now")))
    assert timings(line)["carafe"].fastest == pytest.approx(9e-4)
    assert timings(line)["carafe"].rounds == pytest.approx(timing.rounds)
    assert (line["job"], line["process"], line["lost"]) == (3, 4, {"fade": "wrong"})


def test_our_rule_finds_ten_per_cent_and_raises_no_false_alarm(folder):
    jobs = data.read(folder).jobs
    rates = score(rules.first_look, jobs)
    assert (rates.alarms.hits, rates.alarms.count, rates.jobs.count) == (0, 4, 2)
    assert rates.found[10].value == 1.0
    assert rates.flagged[5].value >= rates.found[5].value
    assert [extra_work(jobs, percent) for percent in PERCENTS] == pytest.approx(PERCENTS, abs=0.7)
    assert "0/4 = 0%" in tables(data.read(folder))


@pytest.mark.parametrize("name", ["ours", *rules.PUBLISHED])
def test_every_rule_answers_for_every_case_and_calls_a_factor_of_two_slower(folder, name):
    answer = {**rules.PUBLISHED, "ours": rules.first_look}[name]
    assert set(answer(data.read(folder).jobs[0].samples(10), OPERATORS)) == set(OPERATORS)
    doubled = lines(PROCESSES, seed=1)
    for line in doubled:
        for operator in OPERATORS:
            line["cases"][f"{operator}~10"] = [2 * value for value in line["cases"][operator]]
    job = data.Job("quiet", tuple(map(timings, doubled)))
    assert set(answer(job.samples(10), OPERATORS).values()) == {"SLOWER"}


def test_intervals_are_exact():
    assert Rate(0, 300).most == pytest.approx(0.00994, abs=1e-4)
    assert Rate(5, 10).interval == pytest.approx((0.187, 0.813), abs=1e-3)


def test_jobs_that_the_rule_was_chosen_on_score_nothing(folder):
    assert not candidates_table(data.read(folder))
    setup = json.loads((folder / "setup.json").read_text())
    (folder / "setup.json").write_text(json.dumps({**setup, "chosen_on": {"quiet": 1}}))
    study = data.read(folder)
    assert "### Quiet: 1 job of" in tables(study)
    assert "# Candidates for the rule, on 1 quiet job\n" in candidates_table(study)


def test_a_folder_without_a_complete_job_is_refused(tmp_path, folder):
    with pytest.raises(PlanError, match=r"no study in .*compare_rule collect"):
        data.read(tmp_path / "none")
    (folder / "points-quiet.jsonl").write_text("")
    with pytest.raises(PlanError, match="no complete job"):
        data.read(folder)


@pytest.mark.slow
def test_the_published_tables_are_those_of_the_committed_data():
    folder = ROOT / "studies" / "compare_rule" / "amd-epyc"
    study = data.read(folder)
    assert tables(study) in (ROOT / "docs" / "regression.md").read_text(encoding="utf-8")
    assert candidates_table(study) == (folder / "candidates.md").read_text(encoding="utf-8")
