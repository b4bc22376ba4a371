"""Exported operators: without GridSample the values of grid_sample, by gathers alone; and by the older exporter."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import upsamplers
from upsamplers.functional._torch.gathered_samples import gathered_samples

SAMPLING = ("dysample", "dysample-s+", "dlu", "lda-aqu")


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_gathers_have_the_values_of_grid_sample(mode, padding, align_corners):
    x, grid = torch.randn(2, 3, 5, 7, dtype=torch.float64), torch.rand(2, 9, 4, 2, dtype=torch.float64) * 4 - 2
    how = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    torch.testing.assert_close(gathered_samples(x, grid, **how), F.grid_sample(x, grid, **how), rtol=0, atol=1e-14)


def test_points_on_the_borders_and_of_a_single_pixel_are_read_alike():
    edges = torch.tensor([-1.0, 1.0, 0.0, -1.5, 1.5], dtype=torch.float64)
    grid = torch.cartesian_prod(edges, edges).view(1, 5, 5, 2)
    for x in (torch.randn(1, 2, 4, 6, dtype=torch.float64), torch.randn(1, 2, 1, 1, dtype=torch.float64)):
        for padding in ("zeros", "border"):
            found = gathered_samples(x, grid, padding_mode=padding, align_corners=False)
            expected = F.grid_sample(x, grid, padding_mode=padding, align_corners=False)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_a_point_that_is_not_a_number_is_not_a_number():
    x, grid = torch.randn(1, 2, 4, 6), torch.zeros(1, 1, 2, 2)
    grid[0, 0, 0] = torch.nan
    out = gathered_samples(x, grid, padding_mode="border", align_corners=False)
    assert out[..., 0].isnan().all()
    assert out[..., 1].isfinite().all()


@pytest.mark.parametrize("name", SAMPLING)
def test_an_exportable_operator_has_its_values_and_gradients_to_rounding(name):
    up = upsamplers.create(name, 16, backend="torch").double().eval()
    inputs = [x.requires_grad_() for x in up.example_inputs(2, 6, 5)]
    made = upsamplers.exportable(up, without="GridSample")
    out, expected = made(*inputs), up(*inputs)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    ours, theirs = (torch.autograd.grad(y.square().sum(), inputs) for y in (out, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


class Volume(nn.Module):
    def forward(self, x):
        return F.grid_sample(x, torch.zeros(1, 1, 1, 1, 3), align_corners=False)


class Bicubic(nn.Module):
    def forward(self, x):
        return F.grid_sample(x, torch.zeros(1, 1, 1, 2), mode="bicubic", align_corners=False)


class Direct(nn.Module):
    def forward(self, x):
        return torch.grid_sampler_2d(x, torch.zeros(1, 1, 1, 2), 0, 0, False)


@pytest.mark.parametrize(
    ("module", "shape", "reason"),
    [
        (Volume(), (1, 1, 2, 2, 2), r"inputs \(1, 1, 2, 2, 2\); expected \(B, C, H, W\)"),
        (Bicubic(), (1, 1, 2, 2), "mode bicubic with padding zeros; modes bilinear and nearest"),
        (Direct(), (1, 1, 2, 2), "of grid_sampler_2d; call F.grid_sample"),
    ],
)
def test_sampling_without_such_a_form_is_refused_with_the_reason(module, shape, reason):
    with pytest.raises(upsamplers.Unsupported, match=reason):
        upsamplers.exportable(module, without="GridSample")(torch.zeros(shape))


def test_a_node_without_another_form_is_refused():
    with pytest.raises(upsamplers.Unsupported, match="no form without 'Resize'; expected 'GridSample'"):
        upsamplers.exportable(nn.Identity(), without="Resize")


def assert_gives(file, up, inputs):
    """Holds the values of an ONNX file to those of an operator."""
    session = pytest.importorskip("onnxruntime").InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    (out,) = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(out), up(*inputs), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["dysample", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in SAMPLING if name != "dysample")]
)
def test_the_exported_file_has_no_grid_sample_and_its_values_at_two_sizes(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    up = upsamplers.create(name, 16, backend="torch").eval()
    inputs, others = up.example_inputs(2, 7, 6), up.example_inputs(3, 9, 8)
    path = tmp_path / "up.onnx"
    made = upsamplers.exportable(up, without="GridSample")
    shapes = tuple(dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC) for _ in inputs)
    torch.onnx.export(made, inputs, path, dynamo=True, opset_version=18, dynamic_shapes=shapes, verbose=False)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "Gather" in kinds
    assert "GridSample" not in kinds
    for given in (inputs, others):
        assert_gives(str(path), up, given)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a2u", "dysample", "dysample-s+", "dlu"])
def test_the_older_exporter_which_traces_takes_sizes_that_are_no_multiples_of_the_bins(name):
    pytest.importorskip("onnxruntime")
    up, file = upsamplers.create(name, 32, backend="torch").eval(), io.BytesIO()
    inputs = up.example_inputs(1, 9, 7)
    torch.onnx.export(up, inputs, file, dynamo=False, opset_version=18)
    assert_gives(file.getvalue(), up, inputs)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_runs_weights_of_its_own(copied):
    made = upsamplers.exportable(upsamplers.create("dysample", 16), without="GridSample")
    x, other = torch.randn(1, 16, 4, 4), copied(made)
    expected = other(x)
    for parameter in made.parameters():
        torch.nn.init.constant_(parameter, 3.0)
    assert torch.equal(other(x), expected)
    assert not torch.equal(made(x), expected)


def test_frozen_norms_of_a_model_in_training_stay_frozen():
    model = nn.Sequential(nn.BatchNorm2d(4), upsamplers.create("dysample", 4, groups=1))
    model[0].eval()
    assert upsamplers.exportable(model, without="GridSample").training
    assert not model[0].training


def test_calls_that_were_replaced_export_without_the_node_too():
    class Decoder(nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2, mode="bilinear")

    model, x = nn.Sequential(nn.Conv2d(3, 16, 1), Decoder()).eval(), torch.randn(1, 3, 6, 5)
    assert len(upsamplers.replace(model, "dysample", example=x, calls=True).replaced) == 1
    made = upsamplers.exportable(model, without="GridSample")
    graph = torch.export.export(made, (x,)).graph
    assert not any("grid_sampler" in str(node.target) for node in graph.nodes)
    torch.testing.assert_close(made(x), model(x))
