"""`upsamplers.replace` in YOLO models as ultralytics builds them, and what ultralytics then does with them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import upsamplers

pytest.importorskip("ultralytics", reason="needs the extra `yolo`")
tasks = pytest.importorskip("ultralytics.nn.tasks", exc_type=RuntimeError)
pytestmark = pytest.mark.slow

OPERATORS = ("dysample", "carafe", "pixel-shuffle")
IMAGE = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def replaced(config: str, operator: str) -> Any:
    """An untrained model with operators."""
    torch.manual_seed(0)
    model = tasks.DetectionModel(config, verbose=False)
    report = upsamplers.replace(model, operator, example=IMAGE)
    assert [row.where for row in report.replaced] == [name for name, layer in model.named_modules() if is_up(layer)]
    assert (len(report.replaced), report.left) == (2, ())
    return model


def is_up(layer: object) -> bool:
    return isinstance(layer, upsamplers.Upsampler)


def scores(model: Any, image: Tensor) -> Tensor:
    out: Tensor = model(image)[0]
    return out


@pytest.fixture(params=[(config, name) for config in ("yolov8n.yaml", "yolo11n.yaml") for name in OPERATORS], ids=str)
def model(request: pytest.FixtureRequest) -> Any:
    return replaced(*request.param).eval()


def test_it_runs_in_float_and_half_fused_or_not(model: Any) -> None:
    expected = scores(model, IMAGE)
    assert expected.shape == (1, 84, 252)
    assert torch.allclose(scores(copy.deepcopy(model).fuse(verbose=False), IMAGE), expected, rtol=1e-3, atol=1e-3)
    half = scores(copy.deepcopy(model).half(), IMAGE.half())
    assert half.dtype == torch.float16
    # Boxes are in pixels of the image.
    assert (half.float() - expected).abs().max() < 0.5


def test_it_trains_and_an_ema_of_it_follows(model: Any) -> None:
    from ultralytics.utils.torch_utils import ModelEMA

    ema = ModelEMA(model)
    features = model.train()(IMAGE)
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(features) if isinstance(leaf, Tensor)]
    sum(one.float().square().mean() for one in leaves).backward()
    ups = [layer for layer in model.modules() if is_up(layer)]
    assert all(one.grad is not None for layer in ups for one in layer.parameters())
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    ema.update(model)
    kept = [layer for layer in ema.ema.modules() if is_up(layer)]
    for layer, averaged in zip(ups, kept, strict=True):
        assert (averaged.f, averaged.i, averaged.type) == (layer.f, layer.i, layer.type)
    assert torch.isfinite(scores(ema.ema.eval(), IMAGE)).all()


def test_its_summary_counts_the_operators(model: Any) -> None:
    plain = tasks.DetectionModel(model.yaml, verbose=False)
    added = sum(one.numel() for layer in model.modules() if is_up(layer) for one in layer.parameters())
    _, parameters, _, gflops = model.info()
    _, plain_parameters, _, plain_gflops = plain.info()
    assert parameters == plain_parameters + added
    assert gflops > plain_gflops


def test_its_onnx_by_ultralytics_own_exporter_gives_the_same(model: Any, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from ultralytics import YOLO

    yolo = YOLO(model.yaml["yaml_file"])
    yolo.model.model = model.model
    yolo.model.pt_path = str(tmp_path / "model.pt")  # the file is written beside it
    path = yolo.export(format="onnx", imgsz=(96, 128), simplify=False, opset=17, verbose=False)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": IMAGE.numpy()})
    expected = scores(copy.deepcopy(model).fuse(verbose=False), IMAGE)
    assert (torch.from_numpy(found) - expected).abs().max() < 0.01
