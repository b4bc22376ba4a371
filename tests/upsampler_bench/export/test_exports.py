"""Exports: what each schema asks is there, the numbers are the run's own, and pytest-benchmark's JSON comes back."""

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
from upsampler_bench.errors import OutputError, PlanError, ResultsError
from upsampler_bench.export import _commit, bencher
from upsampler_bench.export._order_stats import summary
from upsampler_bench.results import Measurement, Reading, Run

HASH = "0123456789abcdef0123456789abcdef01234567"
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


def of_commit(run, identity=HASH):
    return _commit.named(run, _commit.Commit(identity, "2026-11-20T12:00:00+01:00"))


def strict(content):
    """JSON as every reader takes it: Python's own NaN and Infinity are refused."""
    return json.loads(content, parse_constant=pytest.fail)


def only(name, run):
    (content,) = export.get(name).files(run).values()
    return content


def test_the_exports_are_the_files_of_the_folder():
    assert {"bencher", "github-action", "junit", "pytest-benchmark"} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_export_takes_every_run_and_gives_the_same_bytes_each_time(name, run, tmp_path):
    run = of_commit(run)
    assert export.get(name).ABOUT
    assert export.get(name).files(run) == export.get(name).files(run)
    assert all(path.stat().st_size for path in export.write(run, tmp_path, [name, name]))


@pytest.mark.parametrize("name", ["bencher", "github-action", "pytest-benchmark"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_json_is_such_as_every_reader_takes(name, run):
    strict(only(name, run))


def test_an_unknown_export_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(PlanError, match="no export 'bensher'; did you mean 'bencher'"):
        export.write(sample_run(), tmp_path, ["junit", "bensher"])
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        export.write(sample_run(), tmp_path / "file", ["junit"])


def test_github_action_gets_a_list_of_named_values_of_which_less_is_better():
    run = sample_run()
    less = replace(run, metrics=(replace(METRICS[0], lower_is_better=False), *METRICS[1:]))
    assert not [one for one in strict(only("github-action", less)) if one["name"].endswith(": latency")]
    told = strict(only("github-action", run))
    assert len({one["name"] for one in told}) == len(told)
    for one in told:
        assert one.keys() <= {"name", "unit", "value", "range", "extra"}
        assert isinstance(one["value"], float)
        assert all(isinstance(one[key], str) for key in one.keys() - {"value"})
    (latency,) = [one for one in told if one["name"] == f"{Case('bilinear').key}: latency"]
    assert latency["unit"] == "s"
    assert latency["value"] == run.measurement(Case("bilinear")).reading("latency").estimate.value
    assert re.fullmatch(r"± [\d.e-]+", latency["range"])


def test_bencher_gets_nanoseconds_and_bytes_with_their_bounds():
    told = strict(only("bencher", sample_run()))
    for measures in told.values():
        for slug, metric in measures.items():
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
            assert {"value"} <= metric.keys() <= {"value", "lower_value", "upper_value"}
            assert metric.get("lower_value", -math.inf) <= metric["value"] <= metric.get("upper_value", math.inf)
    assert told[Case("bilinear", "train").key]["latency"]["value"] == pytest.approx(25.4e6, rel=0.01)
    assert told[Case("bilinear").key]["memory"] == {"value": 56.25 * 2**20}
    assert not [key for key in told if key.startswith("mine/")]


def test_a_metric_of_no_letters_still_has_a_slug():
    assert bencher.slug(replace(METRICS[0], name="Δ")) == "measure"


def test_junit_tells_each_case_once_with_its_time_or_why_there_is_none():
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


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 31])
def test_stats_are_those_of_pytest_benchmark(count):
    theirs = pytest.importorskip("pytest_benchmark.stats").Stats()
    samples = [((7 * place) % 11 + 1) ** 3 / 1e6 for place in range(count)]
    for one in samples:
        theirs.update(one)
    ours = summary(samples)
    assert {key: ours[key] for key in ours.keys() - {"data", "iterations"}} == pytest.approx(theirs.as_dict())


def test_pytest_benchmark_gets_every_raw_sample():
    run = sample_run()
    data = strict(only("pytest-benchmark", run))
    (one,) = [one for one in data["benchmarks"] if one["fullname"].endswith(Case("bilinear").key)]
    assert one["stats"]["data"] == list(run.measurement(Case("bilinear")).reading("latency").samples)
    assert one["extra_info"]["shape"] == "1x256x120x120"
    assert one["extra_info"]["inference_memory"] == 56.25 * 2**20
    assert len({one["fullname"] for one in data["benchmarks"]}) == len(data["benchmarks"])


def test_pytest_benchmark_compares_what_was_exported(tmp_path):
    pytest.importorskip("pytest_benchmark")
    export.write(sample_run(), tmp_path, ["pytest-benchmark"])
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(tmp_path / "pytest-benchmark.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "dysample-s+" in done.stdout


def test_the_command_writes_what_is_asked_for(tmp_path, capsys):
    from upsampler_bench.commands.export import export

    path = storage.save(sample_run(), tmp_path)
    export(path, ["bencher", "junit"], tmp_path / "x", HASH)
    told = capsys.readouterr()
    assert {Path(one).name for one in told.out.split()} == {"bencher.json", "junit.xml"}
    assert "4 of 24 cases have no figure" in " ".join(told.err.split())
    with pytest.raises(PlanError, match="--to says what"):
        export(path)
    with pytest.raises(PlanError, match="no commit 'no such'"):
        export(path, ["junit"], commit="no such")
    with pytest.raises(ResultsError, match="no stored run"):
        export(tmp_path / "nowhere", ["junit"])


def test_a_commit_goes_by_the_names_that_git_knows(tmp_path, monkeypatch):
    from upsampler_bench.commands.export import resolve

    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    found = resolve("HEAD")
    assert re.fullmatch("[0-9a-f]{40}", found.identity)
    assert found.date[:2] == "20"
    with pytest.raises(PlanError, match="no commit"):
        resolve("--output=x")
    assert not (tmp_path / "x^{commit}").exists()


def test_exports_load_nothing_heavy():
    code = "import sys\nfrom upsampler_bench import export\n[export.get(one) for one in export.names()]\n"
    code += "assert not {'torch', 'upsamplers', 'pandas', 'numpy', 'pytest'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_xml_is_what_a_parser_of_bytes_takes():
    for run in RUNS.values():
        ElementTree.parse(io.BytesIO(only("junit", run)))


def test_floors_are_the_machines_and_go_to_no_dashboard():
    from upsampler_bench import storage

    run = storage.load(Path(__file__).parents[3] / "reports" / "amd-epyc")
    assert run.metric("roofline_time") is not None
    for name in ("github-action", "bencher"):
        written = export.get(name).files(run)
        assert not any(b"roofline" in content for content in written.values()), name
