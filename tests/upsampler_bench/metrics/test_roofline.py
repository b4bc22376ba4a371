"""The least work of an operator by hand, the rates that make it a time, and how a report shows it."""

import csv
import io
from dataclasses import replace

import pytest
import sample_workload
import torch
from fake_device import FakeDevice
from report_reading import FEW, cell, with_reading
from sample_run import METRICS, plain_run

from upsampler_bench import report
from upsampler_bench.case import Case
from upsampler_bench.device import rates
from upsampler_bench.formats import csv as csv_format
from upsampler_bench.metrics import flops, roofline
from upsampler_bench.results import MetricInfo, Reading

C, H, W = 64, 6, 5
X = C * H * W * 4
OUT = GUIDE = 4 * X
# x's own shape, an index of eight bytes each.
INDICES = 2 * X
DECONV = (C * C * 9 + C) * 4


def built(name, mode="inference", dtype="float32"):
    return sample_workload.built(Case(name, mode, 1, C, H, W, dtype=dtype))


def parameter_bytes(name):
    return sum(parameter.nbytes for parameter in built(name).module.parameters())


@pytest.fixture
def small(monkeypatch):
    """Rates of small buffers and products, forgotten before and after."""
    monkeypatch.setattr(rates, "BUFFER", 2**10)
    monkeypatch.setattr(rates, "FEATURES", 2)
    monkeypatch.setattr(rates, "_measured", {})


@pytest.fixture
def run():
    """A made-up run in which every forward has a roofline time of 4 ms."""
    facts = {"bytes": 2e6, "macs": 3e9, "copying": 5e9, "multiplying": 7e9, "binds": "bytes"}
    run = replace(plain_run(FEW), metrics=(*METRICS, *roofline.INFOS))
    for name in FEW:
        run = with_reading(run, Case(name), Reading("roofline_time", ((0.004,),), "least bytes", facts=facts))
    return run


@pytest.mark.parametrize(
    ("name", "minimum"),
    [
        ("nearest", X + OUT),
        ("bilinear", X + OUT),
        ("deconv", X + DECONV + OUT),
        ("max-unpool", X + INDICES + OUT),
        *((name, X + GUIDE + parameter_bytes(name) + OUT) for name in ("indexnet", "fade", "sapa-b")),
    ],
)
def test_the_minimum_traffic_equals_the_hand_count(name, minimum):
    assert roofline.minimum_traffic(built(name)) == minimum


def test_half_precision_moves_half_the_bytes():
    assert roofline.minimum_traffic(built("deconv", dtype="bfloat16")) == (X + DECONV + OUT) // 2


@pytest.mark.parametrize(("name", "of_a_pixel"), [("nearest", 0), ("bilinear", 16 * C), ("deconv", C * C * 9)])
def test_the_multiply_adds_equal_the_hand_count(name, of_a_pixel):
    assert flops.of(built(name)).by_convention["mac"] == of_a_pixel * H * W


def test_counting_leaves_a_module_in_the_mode_it_is_in():
    load = built("indexnet", "train")
    before = {name: value.clone() for name, value in load.module.state_dict().items()}
    flops.of(load)
    assert all(part.training for part in load.module.modules())
    assert all(torch.equal(value, before[name]) for name, value in load.module.state_dict().items())


@pytest.mark.usefixtures("small")
def test_a_roofline_time_is_the_longer_of_two_times_which_its_facts_give():
    for name, durations in (("nearest", (0.5,)), ("deconv", (2.0,))):
        (reading,) = roofline.measure(built(name), FakeDevice(durations))
        facts = reading.facts
        times = {"bytes": facts["bytes"] / facts["copying"], "multiply-adds": facts["macs"] / facts["multiplying"]}
        assert reading.samples == (max(times.values()),)
        assert facts["binds"] == max(times, key=times.get)
        assert "fake clock" in reading.method


@pytest.mark.usefixtures("small")
def test_rates_are_of_the_fastest_call_and_measured_once_for_each_dtype():
    device = FakeDevice((0.5, 0.25))
    float32 = rates.measured(device, torch.float32)
    assert float32.copying == 2 * 2**10 / 0.25
    assert float32.multiplying == 256**3 / 0.25
    calls = device.calls
    assert rates.measured(FakeDevice(), torch.float32) is float32
    assert device.calls == calls
    assert rates.measured(device, torch.float64) is not float32


@pytest.mark.usefixtures("small")
def test_products_grow_until_a_call_takes_long_enough(monkeypatch):
    monkeypatch.setattr(rates, "LARGEST_SIDE", 1024)
    monkeypatch.setattr(rates, "LARGEST_IMAGE", 32)
    device = FakeDevice((1e-6,))
    device.time = lambda call, count: device.__class__.time(device, lambda: None, count)
    assert rates.measured(device, torch.float32).multiplying == pytest.approx(1024**3 / 1e-6)


@pytest.mark.usefixtures("small")
def test_without_products_in_half_precision_those_of_float32_count(monkeypatch):
    matrices = rates._matrices

    def lacking(dtype, device):
        if dtype == torch.float16:
            raise NotImplementedError("addmm_impl_cpu_ not implemented for Half")
        yield from matrices(dtype, device)

    monkeypatch.setattr(rates, "_matrices", lacking)
    monkeypatch.setattr(rates, "_convolutions", lacking)
    assert rates.measured(FakeDevice((0.25,)), torch.float16).multiplying == 256**3 / 0.25


def test_measuring_rates_does_not_change_the_global_random_state(small):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    rates.measured(FakeDevice((0.25,)), torch.float32)
    assert torch.equal(torch.rand(4), expected)


@pytest.fixture
def busy(small, monkeypatch):
    """The rooflines of deconv, bound by products, and nearest, bound by bytes, at rates that a busy device reached."""
    monkeypatch.setattr(rates, "BUFFER", 2**21)
    device = FakeDevice((100.0,))
    (deconv,), (nearest,) = roofline.measure(built("deconv"), device), roofline.measure(built("nearest"), device)
    assert (deconv.facts["binds"], nearest.facts["binds"]) == ("multiply-adds", "bytes")
    return {"deconv": deconv, "nearest": nearest}


def test_rates_that_an_operator_contradicts_are_measured_again(busy):
    seconds = {"deconv": 0.9 * busy["deconv"].samples[0], "nearest": 2 * busy["nearest"].samples[0]}
    assert roofline.recheck(busy, {**seconds, "deconv": 100.0}, built("deconv"), FakeDevice((1.0,))) == busy
    again = roofline.recheck(busy, seconds, built("deconv"), FakeDevice((1.0,)))
    for name, reading in again.items():
        assert reading.samples[0] == pytest.approx(busy[name].samples[0] / 100)
        assert reading.notes == ()
        assert reading.facts.keys() == busy[name].facts.keys()


def test_where_rates_are_still_contradicted_all_that_they_bound_is_marked(busy, run):
    seconds = {"deconv": 0.9 * busy["deconv"].samples[0], "nearest": 2 * busy["nearest"].samples[0]}
    readings = {**busy, "other": busy["deconv"]}
    again = roofline.recheck(readings, seconds, built("deconv"), FakeDevice((200.0,)))
    assert {name for name, reading in again.items() if reading.notes} == {"deconv", "other"}
    assert again["nearest"] == busy["nearest"]
    made = report.from_run(with_reading(run, Case("carafe"), again["deconv"]))
    (mark,) = cell(made, "carafe", "latency_over_roofline_time").marks
    assert dict(made.footnotes)[mark].startswith("doubtful: an operator took less than its roofline time")


def test_products_measured_again_are_larger_ones(small, monkeypatch):
    """On busy cores every call takes as long as its threads wait: only a larger product shows a higher rate."""
    monkeypatch.setattr(rates, "LARGEST_SIDE", 512)
    monkeypatch.setattr(rates, "LARGEST_IMAGE", 16)
    device = FakeDevice((0.01,))
    assert rates.measured(device, torch.float32).multiplying == 256**3 / 0.01
    assert rates.measured_again(device, torch.float32).multiplying == 512**3 / 0.01
    assert rates.measured(device, torch.float32).multiplying == 512**3 / 0.01


def test_a_report_shows_latency_over_roofline_time_and_neither_a_bar_chart_nor_a_note_about_rounds(run):
    made = report.from_run(run)
    above, latency = cell(made, "carafe", "latency_over_roofline_time"), cell(made, "carafe", "latency")
    assert above.value == pytest.approx(latency.value / 4)
    assert (above.low, above.high) == (pytest.approx(latency.low / 4), pytest.approx(latency.high / 4))
    assert "roofline_time" not in {chart.name for chart in made.pictures[0].charts}
    assert not any("rounds" in text for _, text in made.footnotes)


def test_tables_show_the_ratio_and_csv_also_the_roofline_time(run):
    made = report.from_run(run)
    shown = [made.tables[0].columns[index] for index in made.tables[0].shown]
    assert "× roofline" in {column.heading for column in shown}
    assert "roofline_time" not in {column.name for column in shown}
    first = next(csv.DictReader(io.StringIO(csv_format.show(made))))
    assert float(first["roofline_time_ms"]) == 4
    assert float(first["latency_over_roofline_time"]) > 1


def test_uncounted_operations_are_a_footnote_of_the_ratio(run):
    reading = Reading("roofline_time", ((0.004,),), "least bytes", facts={"uncounted": "aten::roll"})
    made = report.from_run(with_reading(run, Case("carafe"), reading))
    (mark,) = cell(made, "carafe", "latency_over_roofline_time").marks
    assert dict(made.footnotes)[mark] == "not counted: aten::roll"


def test_any_metric_that_bounds_another_gets_a_ratio(run):
    least = MetricInfo("fewest", "Fewest bytes", "B", "inference", exact=True, bounds="inference_memory")
    run = replace(run, metrics=(*run.metrics, least))
    made = report.from_run(with_reading(run, Case("bilinear"), Reading("fewest", ((2.0**20,),), "by hand")))
    assert cell(made, "bilinear", "inference_memory_over_fewest").text == "56.25"
    assert cell(made, "carafe", "inference_memory_over_fewest").text == "–"


def test_a_bound_of_a_metric_that_was_not_measured_is_a_plain_column(run):
    run = replace(run, metrics=roofline.INFOS)
    (column,) = report.from_run(run).tables[0].columns
    assert (column.heading, column.detail) == ("Roofline time (ms)", False)
