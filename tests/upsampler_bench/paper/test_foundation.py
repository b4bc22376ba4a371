"""Published costs of upsamplers for foundation features, compared with made-up runs at their shapes."""

from dataclasses import replace

import pytest
from sample_paper_runs import exact, paper_run

from upsampler_bench.case import Case
from upsampler_bench.paper import foundation, published
from upsampler_bench.paper.foundation import Shape
from upsampler_bench.results import Measurement, Reading

CASE = Case("naf", channels=384, height=28, width=28, scale=16)


def latency(seconds):
    return Reading("latency", ((seconds,),) * 10, "cuda events")


def cells(*measurements, name="naf"):
    found = {table.name: table for table in foundation.tables([paper_run(*measurements)])}
    return {row.name: {cell.figure: cell for cell in row.cells} for row in found[name].rows}


def test_nothing_is_compared_at_other_shapes():
    assert foundation.tables([paper_run(Measurement(Case("naf"), readings=(exact("params_all", 662_528),)))]) == []


@pytest.mark.parametrize("source", [one for one in foundation.SOURCES if one.seen], ids=lambda one: one.name)
def test_what_the_published_counters_saw_comes_out_as_printed(source):
    checked = 0
    for row in published.rows(source.file):
        if row["metric"] == "gflops" and row["table"] == source.table and row["operator"] in source.seen:
            at = Shape(int(row["channels"]), int(row["lr_side"]), int(row["ratio"]))
            seen = source.seen[row["operator"]][0](at) / source.per_flop / 1e9
            assert seen == pytest.approx(float(row["value"]), rel=0.01)
            checked += 1
    assert checked >= 6


def test_multiply_adds_that_a_counter_left_out_are_named():
    row = cells(Measurement(CASE, readings=(exact("flops_mac", 142_710_000_000),)))["naf, 384×28×28, ×16"]
    found = row["GFLOPs"]
    assert (found.published, found.ours, found.verdict) == ("265.12", "285.42", "differs")
    assert "no attention, which gives the printed digits" in found.why


def test_equal_parameters_are_reproduced_and_others_missing():
    row = cells(Measurement(CASE, readings=(exact("params_all", 662_528),)))["naf, 384×28×28, ×16"]
    assert (row["Parameters"].ours, row["Parameters"].verdict) == ("662,528", "reproduced")
    assert row["GFLOPs"].verdict == "not measured"


def test_a_published_zero_is_compared_without_a_deviation():
    case = replace(CASE, upsampler="bilinear", height=32, width=32, scale=14)
    row = cells(Measurement(case, readings=(exact("params_all", 0),)), name="jafar")["bilinear, 384×32×32, ×14"]
    assert (row["Parameters"].verdict, row["Parameters"].deviation) == ("reproduced", "")


def test_parameters_that_are_printed_in_millions_are_compared_at_their_digits():
    case = replace(CASE, upsampler="jbu-stack", height=4, width=4, scale=14)
    row = cells(Measurement(case, readings=(exact("params_all", 172_772),)), name="jafar")["jbu-stack, 384×4×4, ×14"]
    assert (row["Parameters"].published, row["Parameters"].ours) == ("0.2 M", "0.2 M")
    assert row["Parameters"].verdict == "reproduced"


def test_why_other_parameters_are_held_is_said():
    case = replace(CASE, upsampler="jbu-stack", scale=2)
    row = cells(Measurement(case, readings=(exact("params_all", 154_073),)))["jbu-stack, 384×28×28, ×2"]
    assert row["Parameters"].verdict == "differs"
    assert "four stages of ×16" in row["Parameters"].why


def test_times_are_compared_as_ratios_to_jafar_with_an_image_of_the_published_size():
    small = replace(CASE, scale=2, guide_image="448x448")
    row = cells(
        Measurement(small, readings=(latency(0.002),)), Measurement(small.of("jafar"), readings=(latency(0.004),))
    )["naf, 384×28×28, ×2"]
    found = row["Forward (× jafar)"]
    assert row["Training (× jafar)"].why == "not in these runs; --guide-image 448x448 measures it"
    assert found.our_value == pytest.approx(0.5)
    assert found.published_value == pytest.approx(39.513908 / 57.254605)


@pytest.mark.parametrize(
    ("device", "verdict", "why"),
    [
        ("NVIDIA A100-SXM4-80GB", "differs", "of another implementation"),
        ("NVIDIA RTX A1000", "another device", "NVIDIA RTX A1000, not an A100"),
    ],
)
def test_times_of_another_device_have_no_verdict(device, verdict, why):
    case = replace(CASE, scale=2, guide_image="448x448")
    rows = Measurement(case, readings=(latency(0.002),)), Measurement(case.of("jafar"), readings=(latency(0.004),))
    (table,) = (one for one in foundation.tables([paper_run(*rows, device_name=device)]) if one.name == "naf")
    row = next(one for one in table.rows if one.name == "naf, 384×28×28, ×2")
    found = row.cell("Forward (× jafar)")
    assert (found.verdict, found.why) == (verdict, why)


def test_an_image_that_they_resize_first_is_said_to_be():
    small = replace(CASE, upsampler="anyup", scale=2, guide_image="448x448")
    readings = (exact("inference_memory", 10**9), exact("params_all", 10**6), latency(0.002))
    row = cells(Measurement(small, readings=readings), Measurement(small.of("jafar"), readings=(latency(0.004),)))
    for figure in ("Forward (× jafar)", "Forward peak (GB)"):
        assert row["anyup, 384×28×28, ×2"][figure].why.endswith("theirs resizes the image to the output first")


def test_peaks_contain_inputs_and_weights():
    readings = (exact("inference_memory", 10**9), exact("params_all", 10**6))
    found = cells(Measurement(CASE, readings=readings))["naf, 384×28×28, ×16"]["Forward peak (GB)"]
    assert found.our_value == pytest.approx(1 + 4 * (384 * 28**2 + 3 * 448**2 + 10**6) / 1e9)
