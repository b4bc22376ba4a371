"""The outcome of a comparison, with absolute budgets and without."""

from dataclasses import replace

import pytest
from sample_comparison import BILINEAR, CARAFE, DYSAMPLE, comparison, result

from upsampler_bench import formats
from upsampler_bench.compare import budgets, report
from upsampler_bench.compare.comparison import INTERRUPTED, Change
from upsampler_bench.compare.outcome import Outcome, outcome
from upsampler_bench.compare.rule import FASTER, SAME, SLOWER, UNCLEAR
from upsampler_bench.errors import PlanError

SLOW = result(CARAFE, SLOWER, 1.1)
RISEN, FALLEN = Change(CARAFE, "flops_mac", 10, 11), Change(CARAFE, "flops_mac", 11, 10)


@pytest.fixture
def read(tmp_path):
    """Reads budgets of inference from a file with this text."""

    def written(text):
        (tmp_path / "budgets.toml").write_text(text)
        return budgets.read(tmp_path / "budgets.toml", "inference")

    return written


@pytest.mark.parametrize(
    ("compared", "fail_on", "expected"),
    [
        (comparison(result(CARAFE, SAME)), "regression", Outcome.FINE),
        (comparison(SLOW), "regression", Outcome.REGRESSION),
        (comparison(SLOW), "slower", Outcome.REGRESSION),
        (comparison(SLOW), "never", Outcome.FINE),
        (comparison(result(CARAFE, FASTER, 0.9)), "inconclusive", Outcome.FINE),
        (comparison(result(CARAFE, UNCLEAR)), "regression", Outcome.FINE),
        (comparison(result(CARAFE, UNCLEAR)), "inconclusive", Outcome.INCONCLUSIVE),
        (comparison(SLOW, control=(result(CARAFE, SLOWER),)), "regression", Outcome.FINE),
        (comparison(SLOW, control=(result(CARAFE, SLOWER),)), "inconclusive", Outcome.INCONCLUSIVE),
        (comparison(result(CARAFE, SAME), changes=(RISEN,)), "regression", Outcome.REGRESSION),
        (comparison(result(CARAFE, SAME), changes=(RISEN,)), "slower", Outcome.FINE),
        (comparison(result(CARAFE, SAME), changes=(FALLEN,)), "regression", Outcome.FINE),
        (comparison(result(CARAFE, SAME), changes=(RISEN,), same_operators=False), "regression", Outcome.FINE),
        (comparison(SLOW, wrong={CARAFE: "wrong output: not finite"}), "regression", Outcome.WRONG_OUTPUT),
        (comparison(result(CARAFE, SAME), stopped=INTERRUPTED), "regression", Outcome.INTERRUPTED),
    ],
)
def test_the_worst_that_was_found_decides(compared, fail_on, expected):
    assert outcome([compared], fail_on) == expected


def test_budgets_limit_the_head(read):
    lines = read('[dysample]\nlatency = "1.5x bilinear"\n[carafe]\nmemory = "160 MiB"\nlatency = "2 ms"\n')
    compared = comparison(
        result(DYSAMPLE, SAME), result(CARAFE, SAME), result(BILINEAR, SAME),
        metrics={CARAFE: {"inference_memory": 200 * 2**20}},
    )  # fmt: skip
    checked = budgets.check(lines, [compared])
    assert [one.verdict for one in checked] == ["KEPT", "BROKEN", "BROKEN"]
    assert checked[0].value.value == pytest.approx(1.4)
    assert outcome([compared], "regression", checked) == Outcome.REGRESSION
    assert "160 MiB" in formats.render("markdown", report.report([compared], checked))
    noisy = replace(compared, control=(result(CARAFE, SLOWER),))
    unclear = budgets.check(lines, [noisy])
    assert [one.verdict for one in unclear] == ["KEPT", "BROKEN", "UNCLEAR"]
    assert "the control differs" in formats.render("markdown", report.report([noisy], unclear))


def test_a_budget_may_be_a_ratio_of_deterministic_metrics(read):
    lines = read('[dysample]\nmemory = "2x bilinear"\n[carafe]\nmemory = "2× bilinear"\nparams = "10K"\n')
    memory = {BILINEAR: 100.0, DYSAMPLE: 190.0, CARAFE: 210.0}
    metrics = {key: {"inference_memory": value, "params_all": 5e3} for key, value in memory.items()}
    checked = budgets.check(lines, [comparison(*(result(key, SAME) for key in memory), metrics=metrics)])
    assert [(one.verdict, one.value.value) for one in checked] == [("KEPT", 1.9), ("BROKEN", 2.1), ("KEPT", 5e3)]


def test_a_budget_for_an_operator_that_was_not_compared_is_unclear(read):
    compared = comparison(result(CARAFE, SAME))
    checked = budgets.check(read('[fade]\nlatency = "1 ms"'), [compared])
    assert [(one.verdict, one.reason) for one in checked] == [("UNCLEAR", "not compared here")]
    assert outcome([compared], "inconclusive", checked) == Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dysample = 1", "is not a table"),
        ("[dysample]\nlatency = 1.5", "expected a string such as"),
        ('[dysample]\nlatency = "1.5x"', "expected an operator that it is relative to, such as '1.5x bilinear'"),
        ('[dysample]\nspeed = "1 ms"', "no metric 'speed'"),
        ('[dysample]\nlatency = "fast"', "expected a number above 0"),
        ("[", "cannot read .*budgets.toml"),
        ('[dysample]\ntrain_latency = "1 ms"', "not measured in mode inference; expected --mode train"),
    ],
)
def test_budgets_that_are_not_understood_are_refused(read, text, message):
    with pytest.raises(PlanError, match=message):
        read(text)
