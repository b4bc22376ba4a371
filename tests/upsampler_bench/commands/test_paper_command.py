"""`upsampler-bench paper`: sections are measured once, kept and reused."""

import json
from dataclasses import replace

import pytest

from upsampler_bench import plan, storage
from upsampler_bench.commands import paper
from upsampler_bench.paper import sections

pytestmark = pytest.mark.usefixtures("here", "registry_restored")
ARGUMENTS = ("paper", "--device", "cpu", "-f", "markdown")


@pytest.fixture(autouse=True)
def _one_small_section(monkeypatch, tmp_path):
    (tmp_path / "plans").mkdir()
    keys = ['upsampler = ["nearest"]', 'shape = ["8x6x5"]', 'mode = ["inference"]', 'metrics = ["params"]']
    (tmp_path / "plans" / "operators.toml").write_text("\n".join(keys))
    monkeypatch.setattr(plan, "PLANS", tmp_path / "plans")
    monkeypatch.setattr(sections, "NAMES", ("operators",))


def test_a_section_that_is_stored_is_not_measured_again_unless_asked(invoke, tmp_path):
    code, _, err = invoke(*ARGUMENTS)
    assert (code, "operators: 2 cases" in err) == (0, True)
    (first,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in first.iterdir()} == {"operators", "report.md"}
    code, _, err = invoke(*ARGUMENTS, "--output-dir", "reports/{device}/paper")
    assert (code, "operators: 2 cases" in err) == (0, True)
    slug = storage.load(first / "operators").environment.slug
    published = tmp_path / "reports" / slug / "paper" / "operators" / "results.json"
    measured = published.read_bytes()
    code, _, err = invoke(*ARGUMENTS, "--output-dir", "reports/{device}/paper")
    assert (code, "operators: already measured" in err) == (0, True)
    assert published.read_bytes() == measured
    code, _, err = invoke(*ARGUMENTS, "--again")
    assert (code, "operators: 2 cases" in err) == (0, True)
    assert published.read_bytes() == measured


def test_after_an_interruption_stored_sections_are_reported_and_the_others_named(invoke, monkeypatch, tmp_path):
    (plan.PLANS / "ablation.toml").write_text((plan.PLANS / "operators.toml").read_text().replace("8x6x5", "8x6x7"))
    (plan.PLANS / "gated.toml").write_text((plan.PLANS / "operators.toml").read_text().replace("8x6x5", "8x6x9"))
    monkeypatch.setattr(sections, "NAMES", ("ablation",))
    assert invoke(*ARGUMENTS)[0] == 0
    monkeypatch.setattr(sections, "NAMES", ("operators", "ablation", "gated"))
    measure = paper.measure
    monkeypatch.setattr(paper, "measure", lambda ready: replace(measure(ready), ended="interrupted"))
    code, out, err = invoke(*ARGUMENTS)
    assert code == 130
    assert "ablation: already measured" in err
    assert "Not in the report, nor what --accuracy has for them: gated." in " ".join(err.split())
    assert "8×6×7" in out


def test_an_unfinished_section_is_continued_where_it_is(invoke, tmp_path):
    invoke(*ARGUMENTS)
    (folder,) = (tmp_path / "runs").glob("*/operators")
    stored = json.loads((folder / "results.json").read_text())
    partial = {**stored, "ended": "partial", "measurements": stored["measurements"][:1]}
    (folder / "results.json").unlink()
    (folder / storage.PARTIAL_FILE).write_text(json.dumps(partial))
    code, _, _ = invoke(*ARGUMENTS)
    assert code == 0
    run = storage.load(folder / "results.json")
    assert (run.ended, run.started, len(run.measurements)) == ("complete", stored["started"], 2)


def test_an_unknown_operator_leaves_no_folder(invoke, tmp_path):
    code, _, err = invoke(*ARGUMENTS, "-u", "dysampel")
    assert (code, "did you mean 'dysample'?" in err) == (2, True)
    assert not (tmp_path / "runs").exists()
