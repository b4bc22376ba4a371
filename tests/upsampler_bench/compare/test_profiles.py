"""Two profiles compared part by part, and a profile in a report."""

from dataclasses import replace

import pytest
from report_reading import with_reading
from sample_run import FIGURES, plain_run

from upsampler_bench import formats, report, storage
from upsampler_bench.case import INFERENCE, Case
from upsampler_bench.compare import profiles
from upsampler_bench.report.lines import conditions
from upsampler_bench.report.pictures import roofline
from upsampler_bench.results import MetricInfo, Part, Reading

INFO = MetricInfo("profile", "Profile", "s", INFERENCE)
CONVOLUTION = Part("convolution", "convolution", "offset", 1, 0.004, 10 * 2**20, 118_000_000)
SAMPLE = Part("grid_sampler_2d", "sampling", "", 1, 0.030, 70 * 2**20)
COPY = Part("clone", "copy", "", 1, 0.010, 20 * 2**20)


def run_of(*parts):
    """A run with the profile of one operator."""
    reading = Reading("profile", ((sum(part.seconds for part in parts),),), "operations one by one", parts=parts)
    run = with_reading(plain_run(FIGURES), Case("dysample"), reading)
    return replace(run, metrics=(*run.metrics, INFO))


def names(made):
    return {row.name: row.cells[-1].text for row in made.profiles[0].rows}


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ((SAMPLE, CONVOLUTION), (SAMPLE, COPY, CONVOLUTION), {"clone": "new"}),
        ((SAMPLE, COPY), (SAMPLE, replace(COPY, calls=3, seconds=0.03)), {"clone": "calls"}),
        # A change below one per cent is not listed.
        ((SAMPLE, CONVOLUTION), (SAMPLE, replace(CONVOLUTION, seconds=0.0042)), {}),
    ],
)
def test_an_extra_copy_and_more_calls_are_named(before, after, named):
    assert names(profiles.changes(run_of(*before), run_of(*after))) == named


def test_what_is_removed_is_named_before_what_takes_longer():
    slower = replace(SAMPLE, seconds=0.045)
    made = profiles.changes(run_of(SAMPLE, COPY, CONVOLUTION), run_of(slower, CONVOLUTION))
    assert list(names(made).items()) == [("clone", "removed"), ("grid_sampler_2d", "time")]
    assert "44 ms before, 49 ms after" in made.profiles[0].title


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_a_report_shows_where_the_time_goes(name):
    text = formats.render(name, report.from_run(run_of(SAMPLE, CONVOLUTION)))
    for word in ("sampler", "offset", "Bandwidth", "34 ms"):
        assert word in text


def test_two_profiles_are_compared_in_text_and_page_alone(invoke):
    code, _, err = invoke("profile", "--compare", "old", "new", "-f", "csv", "-f", "html")
    assert (code, " ".join(err.split())) == (2, "error: --compare writes markdown, html, terminal, not csv")


def test_the_command_compares_two_stored_profiles(invoke, tmp_path):
    storage.save(run_of(SAMPLE, CONVOLUTION), tmp_path / "old")
    storage.save(run_of(SAMPLE, COPY, CONVOLUTION), tmp_path / "new")
    code, out, _ = invoke("profile", "--compare", "old", "new", "--output-dir", "written")
    assert code == 0
    assert "clone" in out
    assert (tmp_path / "written" / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--compare", "old", "HEAD"), "got a stored run and 'HEAD'; expected two stored runs or two revisions"),
        (("carafe", "--compare", "old", "old"), "takes no upsampler; they say what was measured"),
        (("--compare", "old", "old"), "no case was profiled on both sides"),
    ],
)
def test_what_cannot_be_compared_is_refused(invoke, tmp_path, arguments, message):
    storage.save(plain_run(FIGURES), tmp_path / "old")
    code, _, err = invoke("profile", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_the_picture_stacks_the_kinds_of_work():
    panel = next(one for one in report.from_run(run_of(SAMPLE, CONVOLUTION)).pictures if one.name == "profile")
    assert panel.legend == ("sampling", "convolution")
    (chart,) = panel.charts
    bar = next(bar for bar in chart.bars if bar.name == "dysample")
    assert dict(bar.segments) == pytest.approx({"sampling": 100 * 30 / 34, "convolution": 100 * 4 / 34})


def test_an_operation_that_multiplies_has_a_ring_of_its_own_in_the_roofline():
    (condition,) = conditions(run_of(SAMPLE, CONVOLUTION))
    (ring,) = roofline._operations(condition.line("dysample"), condition)
    assert (ring.x, ring.y) == pytest.approx((118e6 / (10 * 2**20), 118e6 / 0.004 / 1e9))
    assert ring.hollow
    assert ring.note == "convolution of offset"
