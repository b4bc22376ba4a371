"""Exports: each file follows its schema, and its numbers are the run's own."""

import io
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from sample_run import ENVIRONMENT, FIGURES, METRICS, plain_run, sample_run

from upsampler_bench import export, storage
from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import PlanError, ResultsError
from upsampler_bench.export import bencher
from upsampler_bench.results import Measurement, Reading, Run

ALL = export.names()
NASTY = "my|o_p&{$^}~\\%#<b>[red]\x07\"']]>é"
EMPTY = Run(ENVIRONMENT, Settings(), METRICS, ())
FAILED = replace(EMPTY, measurements=(Measurement(Case("mine"), "failed", "a < b\n& \x00\ud800 ]]> c"),))
BROKEN = (
    Reading("latency", ((math.nan,), (math.inf,)), "broken clock"),
    Reading("unheard-of", ((1.0,),), "?"),
    Reading("inference_memory", (), "nothing read"),
)
ODD = replace(
    plain_run({"bilinear": FIGURES["bilinear"], NASTY: FIGURES["carafe"]}),
    measurements=(
        *plain_run({NASTY: FIGURES["carafe"]}).measurements,
        Measurement(Case("odd"), readings=BROKEN),
        Measurement(Case("tried", "probe"), readings=(Reading("bfloat16", ((1.0,),), "tried"),)),
    ),
)  # fmt: skip
RUNS = {"sample": sample_run(), "empty": EMPTY, "failed": FAILED, "odd": ODD}


def strict(content):
    """JSON as every reader takes it: Python's own NaN and Infinity are refused."""
    return json.loads(content, parse_constant=pytest.fail)


def only(name, run):
    (content,) = export.get(name).files(run).values()
    return content


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_export_takes_every_run_and_gives_the_same_bytes_each_time(name, run, tmp_path):
    assert export.get(name).files(run) == export.get(name).files(run)
    assert all(path.stat().st_size for path in export.write(run, tmp_path, [name, name]))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_files_are_readable_by_strict_parsers(name, run):
    for path, content in export.get(name).files(run).items():
        strict(content) if path.endswith(".json") else ElementTree.parse(io.BytesIO(content))


def test_an_unknown_export_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(PlanError, match="no export 'bensher'; did you mean 'bencher'"):
        export.write(sample_run(), tmp_path, ["junit", "bensher"])
    assert not list(tmp_path.iterdir())


def test_github_action_gets_a_list_of_named_values_of_which_less_is_better():
    run = sample_run()
    less = replace(run, metrics=(replace(METRICS[0], lower_is_better=False), *METRICS[1:]))
    assert not [one for one in strict(only("github-action", less)) if one["name"].endswith(": latency")]
    written = strict(only("github-action", run))
    assert len({one["name"] for one in written}) == len(written)
    for one in written:
        assert one.keys() <= {"name", "unit", "value", "range", "extra"}
        assert isinstance(one["value"], float)
        assert all(isinstance(one[key], str) for key in one.keys() - {"value"})
    (latency,) = [one for one in written if one["name"] == f"{Case('bilinear').key}: latency"]
    assert latency["unit"] == "s"
    assert latency["value"] == run.measurement(Case("bilinear")).reading("latency").estimate.value
    assert re.fullmatch(r"± [\d.e-]+", latency["range"])


def test_bencher_gets_nanoseconds_and_bytes_with_their_bounds():
    written = strict(only("bencher", sample_run()))
    for measures in written.values():
        for slug, metric in measures.items():
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
            assert {"value"} <= metric.keys() <= {"value", "lower_value", "upper_value"}
            assert metric.get("lower_value", -math.inf) <= metric["value"] <= metric.get("upper_value", math.inf)
    assert written[Case("bilinear", "train").key]["latency"]["value"] == pytest.approx(25.4e6, rel=0.01)
    assert written[Case("bilinear").key]["memory"] == {"value": 56.25 * 2**20}
    assert not [key for key in written if key.startswith("mine/")]


def test_a_metric_of_no_letters_still_has_a_slug():
    assert bencher.slug(replace(METRICS[0], name="Δ")) == "measure"


@pytest.mark.parametrize("name", ALL)
def test_an_operator_on_two_backends_is_two_entries_of_every_export(name):
    run = plain_run({"carafe": FIGURES["carafe"]})
    other = tuple(replace(one, case=one.case.on("triton")) for one in run.measurements)
    one, two = only(name, run), only(name, replace(run, measurements=(*run.measurements, *other)))
    assert two.count(b"triton") > one.count(b"triton") == 0
    assert two.count(b"carafe") >= 2 * one.count(b"carafe")


def test_junit_has_each_case_once_with_its_time_or_the_reason_it_has_none():
    run = sample_run()
    root = ElementTree.fromstring(only("junit", run))
    tests = root.findall("testsuite/testcase")
    assert len(tests) == len(run.measurements) == int(root.get("tests"))
    assert int(root.get("failures")) == len(root.findall(".//failure")) == 3
    assert int(root.get("skipped")) == len(root.findall(".//skipped")) == 1
    carafe = root.find(".//failure")
    assert "out of memory" in " ".join(one.get("message") for one in root.iter("failure"))
    assert carafe.text
    times = {(one.get("classname"), one.get("name")): float(one.get("time")) for one in tests}
    case = Case("bilinear")
    value = run.measurement(case).reading("latency").estimate.value
    assert times[case.group, "bilinear"] == pytest.approx(value, abs=1e-9)
    assert times[case.group, "mine"] == 0


def test_junit_holds_odd_names_and_reasons():
    test = ElementTree.fromstring(only("junit", FAILED)).find(".//testcase")
    assert test.find("failure").get("message") == "a < b & \ufffd\ufffd ]]> c"
    names = {one.get("name") for one in ElementTree.fromstring(only("junit", ODD)).iter("testcase")}
    assert NASTY.replace("\x07", "\ufffd") in names


def test_pytest_benchmark_gets_every_raw_sample():
    run = sample_run()
    data = strict(only("pytest-benchmark", run))
    (one,) = [one for one in data["benchmarks"] if one["fullname"].endswith(Case("bilinear").key)]
    assert one["stats"]["data"] == list(run.measurement(Case("bilinear")).reading("latency").samples)
    assert [one["extra_info"][side] for side in ("batch", "channels", "height", "width")] == [1, 256, 120, 120]
    assert one["extra_info"]["inference_memory"] == 56.25 * 2**20
    assert len({one["fullname"] for one in data["benchmarks"]}) == len(data["benchmarks"])


@pytest.mark.slow
def test_pytest_benchmark_compares_what_was_exported(tmp_path):
    pytest.importorskip("pytest_benchmark")
    export.write(sample_run(), tmp_path, ["pytest-benchmark"])
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(tmp_path / "pytest-benchmark.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "dysample-s+" in done.stdout


def test_the_command_writes_the_formats_given(tmp_path, capsys):
    from upsampler_bench.commands.export import export as command

    path = storage.save(sample_run(), tmp_path)
    command(path, ["bencher", "junit"], tmp_path / "x")
    printed = capsys.readouterr()
    assert {Path(line).name for line in printed.out.split()} == {"bencher.json", "junit.xml"}
    assert "4 of 24 cases have no values" in " ".join(printed.err.split())
    with pytest.raises(PlanError, match=f"--to is missing: .* one of {', '.join(ALL)}"):
        command(path)
    with pytest.raises(ResultsError, match="no stored run"):
        command(tmp_path / "nowhere", ["junit"])


def test_roofline_times_are_not_exported():
    run = storage.load(Path(__file__).parents[3] / "reports" / "amd-epyc")
    assert run.metric("roofline_time") is not None
    for name in ("github-action", "bencher"):
        written = export.get(name).files(run)
        assert not any(b"roofline" in content for content in written.values()), name


def test_a_run_without_values_is_exported_to_junit_alone(tmp_path, capsys):
    from upsampler_bench.commands.export import export as command

    run = sample_run()
    storage.save(replace(run, measurements=tuple(replace(row, readings=()) for row in run.measurements)), tmp_path)
    with pytest.raises(PlanError, match="has no values to export; only --to junit lists its cases"):
        command(tmp_path, ["bencher"])
    command(tmp_path, ["junit", "bencher"])
    assert {Path(line).name for line in capsys.readouterr().out.split()} == {"bencher.json", "junit.xml"}
