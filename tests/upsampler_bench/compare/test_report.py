"""The report of a comparison."""

from dataclasses import replace

import pytest
from sample_comparison import BILINEAR, CARAFE, DYSAMPLE, comparison, result

from upsampler_bench import formats
from upsampler_bench.compare import report
from upsampler_bench.compare.rule import SAME, SLOWER, UNCLEAR
from upsampler_bench.compare.samples import BASE, HEAD


def measured_on(compared, machines):
    samples = tuple(replace(sample, machine=machines[sample.side]) for sample in compared.samples)
    return dict(report.report([replace(compared, samples=samples)]).facts)


def test_the_report_names_the_machine_of_both_sides_or_of_each():
    compared = comparison(result(CARAFE, SAME))
    new, old = "a CPU, torch 2.13.0, 1 thread", "a CPU, torch 2.4.0, 1 thread"
    assert measured_on(compared, {BASE: new, HEAD: new})["Device"] == new
    facts = measured_on(compared, {BASE: old, HEAD: new})
    assert (facts["Device of the base"], facts["Device of the head"]) == (old, new)


@pytest.mark.parametrize("name", ["terminal", "markdown", "csv", "html", "latex"])
def test_every_format_has_the_verdicts(name):
    control = (result(CARAFE, SAME),)
    compared = comparison(result(CARAFE, SLOWER, 1.1), result(DYSAMPLE, SAME), added=("new-one",), control=control)
    drawn = report.report([compared])
    text = formats.render(name, drawn) if name != "html" else formats.get("html").files(drawn)["report.html"].decode()
    assert "SLOWER" in text
    assert "1.1" in text


def test_the_summary_counts_verdicts_and_gives_the_mean():
    insignificant = replace(result(BILINEAR, UNCLEAR), insignificant=True)
    summary = report.summary(comparison(result(CARAFE, SLOWER, 1.21), result(DYSAMPLE, SAME), insignificant))
    assert summary == (
        "1 SLOWER, 1 SAME, 1 UNCLEAR; geometric mean 1.066×; "
        "1 exceeded the threshold but was not statistically significant"
    )
