"""Profiled steps as a trace."""

import gzip
import json
from dataclasses import replace

from report_reading import with_reading
from sample_run import FIGURES, plain_run

from upsampler_bench import formats, report
from upsampler_bench.case import INFERENCE, Case
from upsampler_bench.results import MetricInfo, Part, Reading, Span

SPANS = (
    Span("step", "range", "", 0.0, 0.004),
    Span("softmax", "range", "", 0.001, 0.002),
    Span("_softmax", "operation", "softmax", 0.0015, 0.001),
    Span("softmax_warp_forward", "kernel", "", 0.002, 0.001),
)


def profiled_run():
    run = plain_run(FIGURES)
    reading = Reading("profile", ((0.004,),), "one by one", parts=(Part("add", "", "", 1, 0.004),), spans=SPANS)
    for name in ("carafe", "dysample"):
        run = with_reading(run, Case(name), reading)
    return replace(run, metrics=(*run.metrics, MetricInfo("profile", "Profile", "s", INFERENCE)))


def events():
    (content,) = formats.get("trace").files(report.from_run(profiled_run())).values()
    return json.loads(gzip.decompress(content))["traceEvents"]


def test_each_operator_is_a_process_of_its_own():
    names = {event["pid"]: event["args"]["name"] for event in events() if event["name"] == "process_name"}
    assert sorted(names.values()) == ["carafe, forward", "dysample, forward"]
    assert {event["pid"] for event in events() if event["ph"] == "X"} == set(names)


def test_spans_are_complete_events_in_microseconds():
    softmax = next(event for event in events() if event["name"] == "_softmax")
    assert (softmax["ph"], softmax["ts"], softmax["dur"], softmax["cat"]) == ("X", 1500.0, 1000.0, "operation")
    assert softmax["args"] == {"in": "softmax"}


def test_kernels_have_a_row_of_their_own():
    rows = {event["name"]: event["tid"] for event in events() if event["ph"] == "X"}
    assert rows["step"] == rows["softmax"] == rows["_softmax"] != rows["softmax_warp_forward"]


def test_the_file_is_the_same_each_time():
    files = [formats.get("trace").files(report.from_run(profiled_run())) for _ in range(2)]
    assert files[0] == files[1]


def test_a_run_without_profiles_has_no_trace_and_no_folder(tmp_path):
    assert formats.write(report.from_run(plain_run(FIGURES)), tmp_path / "report", ["trace"]) == []
    assert not (tmp_path / "report").exists()
