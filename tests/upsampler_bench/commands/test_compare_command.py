"""compare from the command line: what is refused, and real processes of one sample."""

from pathlib import Path

import pytest
from sample_comparison import CARAFE, comparison, result
from sample_run import FIGURES, plain_run

from upsampler_bench import storage
from upsampler_bench.case import Case
from upsampler_bench.compare import sides
from upsampler_bench.compare.comparison import INTERRUPTED, changes
from upsampler_bench.compare.process import Side, SideError, count, measure, settings
from upsampler_bench.compare.rule import SLOWER, UNCLEAR
from upsampler_bench.compare.samples import BASE

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "got 0 names; expected two stored runs, two operators, or --base"),
        (("carafe",), "got 1 name;"),
        (("carafe", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("carafe", "dysample", "--head", "HEAD"), "give --base REVISION too"),
        (("carafe", "--base", "HEAD"), "--base compares revisions; choose operators with -u, not 'carafe'"),
        (("carafe", "dysample", "-u", "fade"), "needs --base; to compare two: compare carafe ..."),
        (("carafe", "dysample", "--threshold", "much"), "--threshold is 'much'; expected a share such as 5% or 0.05"),
        (("carafe", "dysample", "--fail-on", "inconclusiv"), "did you mean 'inconclusive'?"),
        (("carafe", "dysample", "--shape", "64"), "shape is '64'"),
        (("carafe", "dysample", "--budgets", "none.toml"), "give --base REVISION too"),
        (("--base", "HEAD", "--budgets", "none.toml"), "cannot read none.toml"),
        (("carafe", "dysample", "--format", "docx"), "no format 'docx'"),
        (("old.json", "new.json"), "old.json"),
        (("old.json", "carafe"), "no stored run at carafe; expected two stored runs, or two operators"),
        (("old.json", "new.json", "--shape", "8x6x5"), "stored runs are compared as they are; leave out --shape"),
        (("old.json", "new.json", "--mode", "train", "--threads", "2"), "leave out --mode, --threads"),
        (("--base", "HEAD"), "not in a git repository"),
        # What an unset variable gives, and numbers that are none.
        (("--base", ""), "--base is empty; expected a commit, tag or branch"),
        (("--base", "HEAD", "--head", ""), "--head is empty; expected a commit, tag or branch"),
        (("--base", "HEAD", "--budget", "nan"), "--budget is nan; expected seconds"),
        (("--base", "HEAD", "--budget=-1"), "--budget is -1; expected seconds"),
        (("--base", "HEAD", "--budget", "inf"), "--budget is inf; expected seconds"),
        (("carafe", "dysample", "--mode", "probe"), "--mode is 'probe'; there are inference, train"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(invoke, arguments, message):
    code, _, err = invoke("compare", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_two_stored_runs_are_compared_and_the_report_is_written(invoke, tmp_path):
    run = plain_run({name: FIGURES[name] for name in ("bilinear", "carafe")})
    for name in ("old", "new"):
        storage.save(run, tmp_path / name)
    code, out, _ = invoke("compare", "old", "new", "--output-dir", "written")
    assert code == 0
    assert "0 of" in out
    assert {path.name for path in (tmp_path / "written").iterdir()} == {"report.csv", "report.md"}


@pytest.mark.parametrize(
    ("found", "arguments", "expected"),
    [
        (comparison(result(CARAFE, SLOWER, 2.0)), (), 1),
        (comparison(result(CARAFE, SLOWER, 2.0)), ("--fail-on", "never"), 0),
        (comparison(result(CARAFE, UNCLEAR)), (), 0),
        (comparison(result(CARAFE, UNCLEAR)), ("--fail-on", "inconclusive"), 3),
        (comparison(wrong={CARAFE: "its error is too large"}), (), 4),
        (comparison(stopped=INTERRUPTED), (), 130),
    ],
)
def test_the_exit_code_says_what_was_found(invoke, monkeypatch, tmp_path, found, arguments, expected):
    monkeypatch.setattr(sides, "compare_operators", lambda *_: [found])
    assert invoke("compare", "carafe", "dysample", *arguments, "--output-dir", "written")[0] == expected
    assert {path.name for path in (tmp_path / "written").iterdir()} == {"report.csv", "report.md", "comparison.json"}


def test_what_was_compared_before_a_later_condition_fails_is_reported(invoke, monkeypatch, tmp_path):
    def conditions(*_):
        yield comparison(result(CARAFE, SLOWER, 2.0))
        raise SideError("carafe cannot be measured: killed")

    monkeypatch.setattr(sides, "compare_operators", conditions)
    code, out, err = invoke("compare", "carafe", "dysample", "--output-dir", "written")
    assert (code, err.splitlines()[-1]) == (2, "error: carafe cannot be measured: killed")
    assert "1 SLOWER" in out
    assert (tmp_path / "written" / "comparison.json").exists()


def test_a_folder_of_an_operators_name_is_no_stored_run(invoke):
    Path("carafe").mkdir()
    code, _, err = invoke("compare", "carafe", "dysampel")
    assert code == 2
    assert "no upsampler 'dysampel'" in err


def test_a_wildcard_is_no_operator_to_compare(invoke):
    code, _, err = invoke("compare", "dysample*", "carafe")
    assert code == 2
    assert "no upsampler 'dysample*'" in err


def cases(*names):
    return [Case(name, channels=8, height=6, width=5) for name in names]


def test_a_sample_times_all_cases_in_one_process_and_a_crash_costs_only_its_case():
    side = Side("here", plugins=(PLUGIN,), renamed={"nearest": "good"})
    sample = measure(cases("bilinear", "segfaults", "nearest"), side, BASE, settings(rounds=3))
    assert [key.partition("/")[0] for key in sample.timings] == ["bilinear", "nearest"]
    for timing in sample.timings.values():
        assert len(timing.rounds) == 3
        assert 0 < timing.fastest <= min(timing.rounds)
    (reason,) = sample.lost.values()
    assert reason.splitlines()[0] == "crashed the process during 'first call': SIGSEGV"
    assert sample.machine.endswith(", 1 thread")


def test_a_refused_and_a_crashed_case_cost_their_own_rows():
    side = Side("here", plugins=(PLUGIN,))
    sample = measure(cases("segfaults", "a2u", "bilinear"), side, BASE, settings(rounds=3))
    assert [key.partition("/")[0] for key in sample.timings] == ["bilinear"]
    assert sorted(key.partition("/")[0] for key in sample.lost) == ["a2u", "segfaults"]


def test_a_side_without_its_plug_in_is_refused():
    with pytest.raises(SideError, match=r"the base cannot be measured: .*no-such-file"):
        measure(cases("bilinear"), Side("the base", plugins=("no-such-file.py",)), BASE, settings(rounds=3))


def test_deterministic_metrics_of_two_sides_are_compared():
    base = count(cases("carafe"), Side("a"), settings())
    head = count(cases("carafe"), Side("b", renamed={"carafe": "dysample"}), settings())
    differing = {change.metric: (change.base, change.head) for change in changes(base, head)}
    assert {"flops_mac", "params_all", "inference_memory"} <= set(differing)
    assert all(before > after > 0 for before, after in differing.values())
    assert changes(base, base) == ()
