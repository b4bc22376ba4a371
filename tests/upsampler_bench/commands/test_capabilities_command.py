"""`upsampler-bench capabilities`: the plan, and a real process that an operator crashes."""

import json
from pathlib import Path

import pytest

from upsampler_bench import plan, storage
from upsampler_bench.case import PROBE
from upsampler_bench.runner import operators, session

PLUGIN = str(Path(__file__).parents[1] / "capability_plugins.py")

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


def prepared(**keys):
    return session.prepare(plan.parse({"device": "cpu", **keys}))


def test_the_plan_probes_every_operator_and_nothing_else():
    ready = prepared(**plan.read("capabilities"))
    assert [case.upsampler for case in ready.cases] == list(operators.names("cpu"))
    assert {case.mode for case in ready.cases} == {PROBE}


def test_nothing_is_probed_unless_the_plan_says_so():
    assert PROBE not in {case.mode for case in prepared(upsampler="nearest").cases}
    both = prepared(upsampler="nearest", mode=["inference", "probe"])
    assert {case.mode for case in both.cases} == {"inference", PROBE}


def test_what_is_cheap_to_probe_is_expected_to_be_quick():
    keys = {"upsampler": "nearest", "mode": "probe"}
    cheap, costly = (prepared(**keys, metrics=metric).expectation() for metric in ("float16", "compiles"))
    assert cheap[0] < costly[0] < costly[1]


def test_a_metric_that_is_no_capability_is_refused(invoke):
    code, _, err = invoke("capabilities", "--metrics", "latency", "--device", "cpu")
    assert (code, err) == (2, "error: none of latency is measured in mode probe\n")


def test_a_crash_costs_one_cell_and_the_matrix_says_so(invoke, tmp_path):
    operators = ("-u", "sound", "-u", "refuses-bfloat16", "-u", "crashes-in-float16")
    metrics = ("--metrics", "float16", "--metrics", "bfloat16", "--metrics", "upsample_to")
    code, out, err = invoke(
        "capabilities", "--plugin", PLUGIN, *operators, *metrics, "--device", "cpu", "--output-dir", "here/{device}"
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
    (folder,) = (tmp_path / "here").iterdir()
    assert {path.name for path in folder.iterdir()} == {"results.json", "report.csv", "report.md", "report.html"}
    stored = json.loads((folder / "results.json").read_text())
    assert folder.name == storage.load(folder).environment.slug
    assert {measurement["status"] for measurement in stored["measurements"]} == {"measured"}
