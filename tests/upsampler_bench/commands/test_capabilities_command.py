"""`upsampler-bench capabilities`: the plan, the place, and a real process that an operator crashes."""

import json
from pathlib import Path

import pytest

from upsampler_bench import plan
from upsampler_bench.case import PROBE
from upsampler_bench.results import Environment
from upsampler_bench.runner import operators, session

PLUGIN = str(Path(__file__).parents[1] / "capability_plugins.py")
ENVIRONMENT = Environment("Fake 1000", "cpu")

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


def prepared(**keys):
    return session.prepare(plan.parse({"device": "cpu", **keys}), None)


def test_the_plan_probes_every_operator_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ready = prepared(**plan.read("capabilities"))
    assert [case.upsampler for case in ready.cases] == list(operators.names("cpu"))
    assert {case.mode for case in ready.cases} == {PROBE}
    assert ready.writer.place(ENVIRONMENT) == Path("reports/fake-1000/capabilities")


def test_probing_is_asked_for_and_never_begins_by_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert PROBE not in {case.mode for case in prepared(upsampler="nearest").cases}
    both = prepared(upsampler="nearest", mode=["inference", "probe"])
    assert {case.mode for case in both.cases} == {"inference", PROBE}
    assert both.writer.place(ENVIRONMENT) == Path("reports/fake-1000")


def test_what_is_cheap_to_probe_is_expected_to_be_quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    keys = {"upsampler": "nearest", "mode": "probe"}
    cheap, dear = (session.expectation(prepared(**keys, metrics=one)) for one in ("float16", "compiles"))
    assert cheap[0] < dear[0] < dear[1]


def test_a_metric_that_is_no_capability_is_misuse(invoke):
    code, _, err = invoke("capabilities", "--metrics", "latency", "--device", "cpu")
    assert (code, err) == (2, "error: none of latency is measured in mode probe\n")


@pytest.mark.slow
def test_a_crash_costs_one_cell_and_the_matrix_says_so(invoke, tmp_path):
    operators = ("-u", "sound", "-u", "refuses-bfloat16", "-u", "crashes-in-float16")
    wanted = ("--metrics", "float16", "--metrics", "bfloat16", "--metrics", "upsample_to")
    code, out, err = invoke(
        "capabilities", "--plugin", PLUGIN, *operators, *wanted, "--device", "cpu", "--output-dir", "here"
    )
    assert code == 0
    matrix = {line.split()[0]: line.split()[1:] for line in out.splitlines() if len(line.split()) > 3}
    assert matrix["sound"] == ["yes", "yes", "yes"]
    assert matrix["refuses-bfloat16"] == ["yes", "no", "a", "yes"]
    assert matrix["crashes-in-float16"] == ["no", "b", "yes", "yes"]
    assert "a  no bfloat16 here" in out
    assert "b  crashed the process: SIGSEGV" in out
    assert "[2/3] refuses-bfloat16: probed; no bfloat16" in err
    assert "[3/3] crashes-in-float16: probed; no float16" in err
    assert {one.name for one in (tmp_path / "here").iterdir()} == {*("results.json", "report.csv", "report.md")}
    stored = json.loads((tmp_path / "here" / "results.json").read_text())
    assert {one["status"] for one in stored["measurements"]} == {"measured"}
