"""What makes an ONNX file portable, on files made by hand; and one real export."""

import importlib.util
from pathlib import Path

import pytest
from sample_workload import built

import upsamplers
from upsampler_bench.capabilities import No, NotApplicable, onnx_export
from upsampler_bench.case import PROBE, Case

onnx = pytest.importorskip("onnx")
helper = onnx.helper
PLUGIN = str(Path(__file__).parents[1] / "capability_plugins.py")


def sample(mode=None, domain=""):
    named = {} if mode is None else {"mode": mode}
    return helper.make_node("GridSample", ["x", "grid"], ["y"], domain=domain, **named)


def graph(*nodes, name="main"):
    kind = onnx.TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(name, kind, [1, 1, 2, 2]) for name in ("x", "grid")]
    return helper.make_graph(list(nodes), name, inputs, [helper.make_tensor_value_info("y", kind, None)])


def branching(node):
    """A node with another in its branches, two levels deep."""
    bare = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)])
    inner = helper.make_node("If", ["c"], ["y"], then_branch=bare, else_branch=bare)
    outer = helper.make_graph([inner], "outer", [], list(bare.output))
    return helper.make_node("If", ["c"], ["y"], then_branch=outer, else_branch=outer)


def calling(node):
    """A model that calls a node through a function of its own."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    function = helper.make_function("local", "upsample", ["x", "grid"], ["y"], [node], opsets[:1])
    call = helper.make_node("upsample", ["x", "grid"], ["y"], domain="local")
    return helper.make_model(graph(call), opset_imports=opsets, functions=[function])


def model(*nodes, opset=18):
    return helper.make_model(graph(*nodes), opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    "model",
    [model(sample("bilinear")), model(sample()), model(branching(sample("bilinear"))), calling(sample("bilinear"))],
    ids=["plain", "by default", "in a branch", "in a function"],
)
def test_a_file_whose_samples_are_bilinear_is_portable(model):
    assert onnx_export.why_not_portable(model) is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model(sample("nearest")), "GridSample has mode nearest, expected bilinear"),
        (model(sample("linear")), "GridSample has mode linear, expected bilinear"),
        (model(branching(sample("nearest"))), "GridSample has mode nearest"),
        (calling(sample("bicubic")), "GridSample has mode bicubic"),
        (model(sample("bilinear", domain="mine")), "operators of a custom domain: mine::GridSample"),
        (calling(sample("bilinear", domain="mine")), "operators of a custom domain: mine::GridSample"),
        (model(sample("bilinear"), opset=20), "the file has opset 20, expected 18"),
    ],
)
def test_what_another_runtime_would_read_differently_is_named(model, reason):
    assert onnx_export.why_not_portable(model).startswith(reason)


def export(name):
    return onnx_export.measure(built(Case(name, PROBE, 2, 8, 6, 5)), None)


def test_if_a_package_is_missing_the_reason_names_the_extra(monkeypatch):
    def hidden(name):
        return None if name.startswith("onnxruntime") else True

    monkeypatch.setattr(onnx_export, "find_spec", hidden)
    with pytest.raises(NotApplicable, match=r"needs onnxruntime: pip install 'upsampler-bench\[export\]'"):
        export("nearest")


@pytest.mark.usefixtures("registry_restored")
def test_the_reason_of_a_failed_export_is_its_cause():
    upsamplers.load_plugin(PLUGIN)
    with pytest.raises(No) as refused:
        export("reads-a-value")
    assert "data-dependent" in str(refused.value)
    assert "Next steps" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="needs onnxruntime")
@pytest.mark.parametrize("name", ["dysample", pytest.param("anyup", marks=pytest.mark.exhaustive)])
def test_one_file_of_opset_18_gives_eagers_values_at_two_sizes(name):
    (reading,) = export(name)
    assert reading.samples == (1.0,)
    assert reading.facts["opset"] == 18
    assert reading.facts["error"] < 1e-4
