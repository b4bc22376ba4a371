"""What a run shows while it goes on."""

import io

import pytest
from rich.console import Console

from upsampler_bench.case import Case
from upsampler_bench.results import Reading
from upsampler_bench.runner import progress
from upsampler_bench.runner.protocol import Message

CASE = Case("dysample+")
AT = Message("at", CASE.key, "latency", facts={"rounds": 3, "samples": 24, "value": 0.0123, "half_width": 0.02})
DONE = Message("reading", CASE.key, reading=Reading("latency", ((0.0123,) * 30,), "m", facts={"stop": "within 1.0%"}))


def timed(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress.display(console, 2) as listener:
        listener.begin([CASE])
        listener.update(Message("at", CASE.key, "build"))
        listener.update(AT)
        listener.update(DONE)
        listener.lost(CASE.of("broken"), "RuntimeError: no")
        listener.end([CASE])
        if terminal:
            listener._bar.refresh()
    return out.getvalue()


def test_without_a_terminal_it_is_plain_lines():
    lines = timed(False).splitlines()
    assert lines == [
        "1x256x120x120/x2/float32/contiguous/cpu, inference: 1 operator",
        "[1/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] broken: RuntimeError: no",
    ]


def probed(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    case = Case("carafe", "probe")
    with progress.display(console, 1) as listener:
        listener.begin([case])
        listener.update(Message("at", case.key, "onnx_export", facts={"share": 0.5}))
        if terminal:
            listener._bar.refresh()
        listener.update(Message("reading", case.key, reading=Reading("float16", ((1.0,),), "m")))
        listener.update(Message("reading", case.key, reading=Reading("onnx_export", ((0.0,),), "m", ("why",))))
        listener.update(Message("reading", case.key, reading=Reading("cuda_graph", (), "m", ("needs CUDA",))))
        listener.update(Message("probed", case.key))
        if terminal:
            listener._bar.refresh()
    return out.getvalue()


def test_a_probed_operator_is_one_line_that_names_what_does_not_work():
    assert probed(False).splitlines()[1:] == ["[1/1] carafe: probed; no onnx_export"]


def test_on_a_terminal_a_probed_operator_fills_its_share_of_the_bar():
    output = probed(True)
    assert "probing: 1 operator" in output
    assert "onnx_export" in output
    assert "1/1" in output


def test_on_a_terminal_it_shows_operator_metric_round_interval_and_time_left():
    output = timed(True)
    assert "dysample+" in output
    assert "latency" in output
    assert "12.3 ms ±2.0%" in output
    assert "2/2" in output
    assert "left" in output


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.2 µs"), (1e-9, "0.001 µs")]
)
def test_times_are_written_in_a_fitting_unit(value, text):
    assert progress.seconds(value) == text
