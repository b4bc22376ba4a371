"""What a run tells while it goes."""

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


def told(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress.listener(console, 2) as listener_:
        listener_.begin([CASE])
        listener_.hear(Message("at", CASE.key, "build"))
        listener_.hear(AT)
        listener_.hear(DONE)
        listener_.lost(CASE.of("broken"), "RuntimeError: no")
        listener_.end([CASE])
        if terminal:
            listener_._bar.refresh()
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_it_is_plain_lines():
    lines = told(False).splitlines()
    assert lines == [
        "1x256x120x120/x2/float32/contiguous/cpu, inference: 1 operators",
        "[1/2] dysample+: 12.3 ms ±0.0%, 30 samples, within 1.0%",
        "[2/2] broken: RuntimeError: no",
    ]


def probed(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    case = Case("carafe", "probe")
    with progress.listener(console, 1) as listener_:
        listener_.begin([case])
        listener_.hear(Message("at", case.key, "onnx_export", facts={"share": 0.5}))
        if terminal:
            listener_._bar.refresh()
        listener_.hear(Message("reading", case.key, reading=Reading("float16", ((1.0,),), "m")))
        listener_.hear(Message("reading", case.key, reading=Reading("onnx_export", ((0.0,),), "m", ("why",))))
        listener_.hear(Message("reading", case.key, reading=Reading("cuda_graph", (), "m", ("needs CUDA",))))
        listener_.hear(Message("probed", case.key))
        if terminal:
            listener_._bar.refresh()
    return out.getvalue()


def test_a_probed_operator_is_a_line_that_names_what_it_lacks():
    assert probed(False).splitlines()[1:] == ["[1/1] carafe: probed; no onnx_export"]


def test_on_a_terminal_a_probed_operator_fills_its_share_of_the_bar():
    said = probed(True)
    assert "probing: 1 operators" in said
    assert "onnx_export" in said
    assert "1/1" in said


def test_on_a_terminal_it_shows_operator_metric_round_interval_and_time_left():
    said = told(True)
    assert "dysample+" in said
    assert "latency" in said
    assert "12.3 ms ±2.0%" in said
    assert "2/2" in said
    assert "left" in said


@pytest.mark.parametrize(
    ("value", "said"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.2 µs"), (1e-9, "0.001 µs")]
)
def test_times_are_written_in_a_fitting_unit(value, said):
    assert progress.seconds(value) == said
