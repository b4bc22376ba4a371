"""A history of runs: what is kept, where a level changed, and what is refused."""

import random
from dataclasses import replace

import pytest
from sample_run import FIGURES, plain_run

from upsampler_bench import history
from upsampler_bench.errors import PlanError
from upsampler_bench.history import drawing
from upsampler_bench.history.changes import changes


def noisy(levels, spread=0.003, seed=0):
    chance = random.Random(seed)
    return [level * chance.lognormvariate(0, spread) for level in levels]


def test_a_change_of_level_is_found_where_it_is():
    found = changes(noisy([1.2] * 12 + [1.32] * 9))
    assert [one.place for one in found] == [12]
    assert found[0].ratio == pytest.approx(1.1, rel=0.01)


def test_two_changes_are_two():
    assert [one.place for one in changes(noisy([2.0] * 8 + [2.4] * 8 + [1.8] * 8))] == [8, 16]


def test_noise_alone_is_hardly_ever_a_change():
    assert sum(bool(changes(noisy([1.5] * 40, 0.01, seed))) for seed in range(40)) <= 1


def test_a_handful_of_runs_tells_nothing():
    assert changes([1.0, 1.0, 2.0, 2.0]) == []


def run(day=1):
    return replace(
        plain_run({name: FIGURES[name] for name in ("bilinear", "carafe")}), finished=f"2026-11-{day:02}T05:00:00+00:00"
    )


def test_runs_are_kept_once_each_in_order(tmp_path):
    path = tmp_path / "deep" / "history.jsonl"
    conditions = len(history.entries(run()))
    for day in (2, 1, 2):
        history.add(path, history.entries(run(day), "1a2b3c4"))
    found = history.read(path)
    assert len(found) == 2 * conditions
    assert [one.when[:10] for one in found][:: len(found) - 1] == ["2026-11-01", "2026-11-02"]
    assert found[0].ratios["bilinear"][0] == 1.0
    assert found[0].commit == "1a2b3c4"


def test_other_devices_and_versions_are_other_series():
    moved = replace(run(), environment=replace(run().environment, device_name="another"))
    assert history.entries(run())[0].series != history.entries(moved)[0].series


@pytest.mark.parametrize("text", ["{", "[]", '{"when": 1}'])
def test_a_broken_line_is_refused_with_its_number(tmp_path, text):
    path = tmp_path / "history.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(PlanError, match="line 1, is no entry"):
        history.read(path)


def test_no_history_and_a_run_without_ratios_are_said_so(tmp_path):
    with pytest.raises(PlanError, match="history add"):
        history.read(tmp_path / "none.jsonl")
    with pytest.raises(PlanError, match="no latency relative to a baseline"):
        history.entries(plain_run({"carafe": FIGURES["carafe"]}))


def test_the_picture_is_drawn_with_its_changes():
    line = [history.entries(run(day))[0] for day in range(1, 13)]
    drawn = drawing.draw(line, {"carafe": [], "bilinear": []})
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 10_000


def test_noise_alone_is_seldom_a_change_of_level_and_a_step_is_found():
    false, found = 0, 0
    for seed in range(40):
        chance = random.Random(seed)
        quiet = [chance.lognormvariate(0, 0.02) for _ in range(20)]
        false += bool(changes(quiet))
        stepped = [value * (1.1 if place >= 12 else 1) for place, value in enumerate(quiet)]
        found += any(abs(one.place - 12) <= 1 for one in changes(stepped))
    assert false <= 2
    assert found >= 38


def test_few_runs_and_none_are_said_so(invoke, tmp_path):
    (tmp_path / "none.jsonl").write_text("")
    assert "holds no run yet" in invoke("history", "show", "--file", "none.jsonl")[1]
    history.add(tmp_path / "one.jsonl", history.entries(run()))
    out = invoke("history", "show", "--file", "one.jsonl")[1]
    assert "1 run, too few for a change of level (6 tell)" in out
    assert "1 thread, " in out
