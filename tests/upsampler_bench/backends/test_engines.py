"""Engines: what they compute and cost, and that whatever goes wrong with one costs its own row."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from fake_process import QUICK, Silence
from sample_workload import built

import upsamplers
from upsampler_bench import backends, plan
from upsampler_bench.backends import _engine, onnxruntime
from upsampler_bench.case import INFERENCE, PROBE, TRAIN, Case
from upsampler_bench.metrics import deviation, engine_build, for_case
from upsampler_bench.runner import scheduler, session
from upsampler_bench.workloads import output_check

PLUGIN = str(Path(__file__).parents[1] / "planted_engines.py")
SMALL = {"channels": 8, "height": 6, "width": 5}
KEYS = {**QUICK, "shape": "8x6x5", "device": "cpu", "plugin": PLUGIN}
INSTALLED = [name for name in ("onnxruntime", "openvino", "executorch") if find_spec(name)]
engines = pytest.mark.parametrize("name", INSTALLED)


@pytest.fixture
def planted(registry_restored):
    folders = [*backends.__path__]
    upsamplers.load_plugin(PLUGIN)
    yield
    backends.__path__[:] = folders


def measured(*names, on, **keys):
    parsed = plan.parse({**KEYS, "upsampler": names, "backend": ["torch", *on], **keys})
    run = scheduler.run(session.prepare(parsed), Silence())
    return {(row.case.upsampler, row.case.backend): row for row in run.measurements}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": TRAIN}, "backend onnxruntime runs inference alone"),
        ({"mode": PROBE}, "backend onnxruntime is timed, not tested; the capability 'onnx_export' tests the export"),
        ({"dtype": "float64"}, "backend onnxruntime takes float32 and float16, not float64"),
        ({"layout": "channels_last"}, "takes contiguous inputs and chooses layouts itself, not channels_last"),
        ({"device": "cuda:0"}, "backend onnxruntime runs on cpu here, not on cuda"),
    ],
)
def test_what_an_engine_cannot_run_is_said(change, reason):
    found = _engine.why_not(
        Case("carafe", **SMALL, **change, backend="onnxruntime"),
        ("torch", *_engine.EXPORTER),
        "onnxruntime",
        ("float32", "float16"),
        ("cpu",),
    )
    if find_spec("onnxscript") is None and change.get("mode") is None:
        pytest.skip("a missing exporter is named first")
    assert reason in found


def test_a_missing_engine_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(_engine, "find_spec", lambda name: None if name == "openvino" else True)
    assert backends.why_not(Case("carafe", backend="openvino")) == (
        "backend openvino needs openvino: pip install 'upsampler-bench[openvino]'"
    )


def test_engines_have_their_own_costs_and_no_memory_of_torch():
    case = Case("carafe", **SMALL, backend="onnxruntime")
    assert {"engine_build", "deviation"} <= set(for_case(case, ()))
    assert "memory" not in for_case(case, ())
    assert "engine_build" not in for_case(case.on("compile"), ())


@engines
@pytest.mark.slow
@pytest.mark.parametrize("operator", ["carafe", "dysample-s+", pytest.param("fade", marks=pytest.mark.exhaustive)])
def test_an_engine_has_torchs_values_and_says_what_it_is(name, operator):
    made = built(Case(operator, channels=32, height=6, width=5, backend=name))
    assert output_check.why_wrong(made) is None
    largest, rms = deviation.measure(made, None)
    assert rms.samples[0] <= largest.samples[0] * 10
    time, size = engine_build.measure(made, None)
    assert time.samples[0] > time.facts["export"] > 0
    assert size.samples[0] > sum(parameter.nbytes for parameter in made.module.parameters())
    assert time.notes[0].startswith(f"{name} {time.facts['version']}, ")
    assert "opset 18" in time.notes[0]


@engines
@pytest.mark.slow
def test_an_engine_reads_the_inputs_of_the_call_not_those_it_was_built_with(name):
    made = built(Case("nearest", **SMALL, backend=name))
    other = torch.randn(1, 8, 6, 5)
    torch.testing.assert_close(made.call(other), made.module(other))
    torch.testing.assert_close(made.call(*made.inputs), made.module(*made.inputs))


@engines
@pytest.mark.slow
def test_an_engine_takes_half_precision(name):
    made = built(Case("pixel-shuffle", **SMALL, dtype="float16", backend=name))
    assert made.forward().dtype == torch.float16
    assert output_check.why_wrong(made) is None


def test_nodes_that_ran_on_another_provider_are_counted():
    def node(kind, provider):
        return {"name": f"{kind}_kernel_time", "args": {"op_name": kind, "provider": f"{provider}ExecutionProvider"}}

    events = [{"name": "model_run", "args": {}}, node("Conv", "CUDA"), node("Gather", "CPU"), node("Gather", "CPU")]
    assert onnxruntime.nodes_elsewhere(events, "CUDAExecutionProvider") == "2 Gather on CPU"
    assert onnxruntime.nodes_elsewhere(events[:2], "CUDAExecutionProvider") == ""


@pytest.mark.slow
@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_the_profile_of_onnxruntime_names_the_provider_of_each_node(tmp_path):
    case = Case("nearest", **SMALL)
    made = built(case)
    _engine.export(made.module, made.inputs, tmp_path / "model.onnx")
    session = onnxruntime._session(tmp_path / "model.onnx", torch.device("cpu"), profile=True)
    onnxruntime._bound(session, torch.device("cpu"))(*made.inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    assert "on CPU" in onnxruntime.nodes_elsewhere(events, "CUDAExecutionProvider")


@pytest.mark.slow
def test_each_fault_of_an_engine_costs_its_row(planted):
    on = ("zeros", "segfaults", "stuck", "absent", "right")
    rows = measured("nearest", on=on, metrics=["latency", "deviation", "engine_build"], timeout=8.0, baseline="")
    said = {backend: (row.status, row.reason) for (_, backend), row in rows.items()}
    wrong = "wrong output: differs from backend torch in float64 by 1.0e+00, more than 1e-04"
    assert said["zeros"] == ("failed", wrong)
    assert said["segfaults"] == ("failed", "crashed the process during 'first call': SIGSEGV")
    assert said["stuck"] == ("failed", "timed out: no response for 8 s during 'build'")
    missing = "backend absent needs no_such_engine: pip install 'upsampler-bench[engines]'"
    assert said["absent"] == ("skipped", missing)
    for backend in ("torch", "right"):
        assert rows["nearest", backend].status == "measured"
        assert rows["nearest", backend].reading("latency").samples
    assert rows["nearest", "right"].reading("model_size").samples == (1024,)
    assert not rows["nearest", "zeros"].readings


@pytest.mark.slow
@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_a_users_operator_runs_in_onnxruntime_and_one_that_does_not_export_costs_its_row(planted):
    on = ("onnxruntime",)
    rows = measured("users-own", "reads-a-value", on=on, metrics=["latency", "engine_build"], baseline="")
    assert rows["users-own", "onnxruntime"].reading("latency").samples
    lost = rows["reads-a-value", "onnxruntime"]
    assert lost.status == "skipped"
    assert lost.reason.startswith("not exported to ONNX: ")
    assert rows["reads-a-value", "torch"].reading("latency").samples


def test_a_whole_model_with_a_wrong_output_is_no_number(planted):
    case = Case("nearest", INFERENCE, channels=3, height=64, width=64, model="stages(8x6x5)", backend="zeros")
    assert output_check.why_wrong(built(case)).startswith("wrong output: differs from backend torch in float64 by 1.0")
