"""What a run shows while it goes on."""

import io

import pytest
from rich.console import Console

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Reading
from upsampler_bench.runner import progress
from upsampler_bench.runner.forecast import Forecast
from upsampler_bench.runner.protocol import Message
from upsampler_bench.stats import estimate

CASE = Case("dysample+")
AT = Message("at", CASE.key, "latency", facts={"rounds": 3, "samples": 24, "value": 0.0123, "half_width": 0.02})
DONE = Message("reading", CASE.key, reading=Reading("latency", ((0.0123,) * 30,), "m", facts={"stop": "within 1.0%"}))
PROBED = Case("carafe", "probe")
PROBES = [
    Message("at", PROBED.key, "onnx_export", facts={"share": 0.5}),
    Message("reading", PROBED.key, reading=Reading("float16", ((1.0,),), "m")),
    Message("reading", PROBED.key, reading=Reading("onnx_export", ((0.0,),), "m", ("why",))),
    Message("reading", PROBED.key, reading=Reading("cuda_graph", (), "m", ("needs CUDA",))),
    Message("probed", PROBED.key),
]


def shown(terminal, case, messages, lost=()):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    cases = [case, *map(case.of, lost)]
    with progress.display(console, len(cases), Forecast(cases, Settings())) as listener:
        listener.begin(cases)
        for message in messages:
            listener.update(message)
            if terminal:
                listener._bar.refresh()
        for name in lost:
            listener.lost(case.of(name), "RuntimeError: no")
        if terminal:
            listener._bar.refresh()
    return out.getvalue()


TIMED = [Message("at", CASE.key, "build"), AT, DONE]


def test_without_a_terminal_it_is_plain_lines():
    assert shown(False, CASE, TIMED, lost=["broken"]).splitlines() == [
        "1x256x120x120/x2/float32/contiguous/cpu, inference: 2 operators",
        "[1/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] broken: RuntimeError: no",
    ]


def test_rows_name_their_backend_where_a_group_has_several():
    out = io.StringIO()
    cases = [CASE, CASE.on("triton")]
    with progress.display(Console(file=out, width=80), 2, Forecast(cases, Settings())) as listener:
        listener.begin(cases)
        listener.update(DONE)
        listener.lost(cases[1], "needs cuda")
    assert out.getvalue().splitlines() == [
        "1x256x120x120/x2/float32/contiguous/cpu, inference: 1 operator on torch, triton",
        "[1/2] dysample+ · torch: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] dysample+ · triton: needs cuda",
    ]


def test_without_a_terminal_the_time_left_is_printed_every_twenty_seconds():
    out, now = io.StringIO(), [0.0]
    cases, clock = [CASE, CASE.of("broken")], lambda: now[0]
    forecast = Forecast(cases, Settings(), after=70.0, clock=clock)
    listener = progress.Plain(Console(file=out, width=80), 2, forecast, clock)
    listener.begin(cases)
    listener.lost(cases[1], "RuntimeError: no")
    for now[0] in (10.0, 30.0, 40.0, 60.0):
        listener.update(DONE)
    assert out.getvalue().splitlines()[2:] == [
        "[2/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "30% done, about 70 s left",
        "[2/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "46% done, about 70 s left",
        "[2/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
    ]


def test_a_case_that_is_measured_again_is_counted_once():
    _, *lines = shown(False, CASE, [DONE, DONE], lost=["broken"]).splitlines()
    assert [line[:5] for line in lines] == ["[1/2]", "[1/2]", "[2/2]"]


def test_steps_of_a_command_are_shown_with_the_time_left():
    out = io.StringIO()
    with progress.steps(Console(file=out, force_terminal=True, width=80), 3) as begin:
        for name in ("carafe", "dysample"):
            begin(name)
    assert all(text in out.getvalue() for text in ("dysample", "1/3", "left")), out.getvalue()


def test_steps_of_a_command_have_lines_where_there_is_no_terminal(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "LEFT_SECONDS", 0.0)
    with progress.steps(Console(file=out, width=80), 3) as begin:
        for name in ("carafe", "dysample"):
            begin(name)
    assert "[1/3] dysample; about" in out.getvalue()


def on_two_devices(terminal):
    out, other = io.StringIO(), Case("dysample+", height=8)
    console = Console(file=out, force_terminal=terminal, width=80)
    forecast = Forecast([CASE, other], Settings(), devices=2)
    with progress.display(console, 2, forecast, ["cuda:0", "cuda:1"]) as listener:
        listener.begin([CASE], "cuda:0")
        listener.begin([other], "cuda:1")
        listener.update(AT)
        listener.update(DONE)
        listener.lost(other, "RuntimeError: no")
        if terminal:
            listener._bar.refresh()
    return out.getvalue()


def test_each_of_several_devices_has_a_line_of_its_own_beside_that_of_all():
    last = on_two_devices(terminal=True).rpartition("2/2")[0] + "2/2"
    assert all(text in last for text in ("cuda:0 dysample+", "cuda:1", "all", "2/2")), last


def test_without_a_terminal_each_line_names_its_device():
    assert on_two_devices(terminal=False).splitlines()[2:] == [
        "[1/2] cuda:0 dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] cuda:1 dysample+: RuntimeError: no",
    ]


def test_a_probed_operator_is_one_line_that_names_what_does_not_work():
    assert shown(False, PROBED, PROBES).splitlines()[1:] == ["[1/1] carafe: probed; no onnx_export"]


def test_on_a_terminal_a_probed_operator_fills_its_share_of_the_bar():
    output = shown(True, PROBED, PROBES)
    assert all(text in output for text in ("probe: 1 operator", "onnx_export", "1/1")), output


def test_on_a_terminal_it_shows_operator_metric_round_interval_and_time_left():
    output = shown(True, CASE, TIMED, lost=["broken"])
    assert all(text in output for text in ("dysample+", "latency", "12.3 ms ±2.0%", "2/2", "left")), output


def test_a_step_whose_interval_is_not_known_yet_has_none():
    facts = {key: value for key, value in AT.facts.items() if key != "half_width"}
    output = shown(True, CASE, [Message("at", CASE.key, "latency", facts=facts)])
    assert "12.3 ms" in output
    assert "±" not in output


@pytest.mark.parametrize(
    ("samples", "text"), [((0.01,) * 7, "10 ms"), ((0.0,) * 30, "0 µs"), ((0.01,) * 8, "10 ms ±0.0%")]
)
def test_a_time_without_an_interval_is_written_without_one(samples, text):
    assert progress.with_interval(estimate(samples)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.2 µs"), (1e-9, "0.001 µs")]
)
def test_times_are_written_in_a_fitting_unit(value, text):
    assert progress.seconds(value) == text
