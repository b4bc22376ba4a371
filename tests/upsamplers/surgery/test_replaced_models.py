"""A replaced model is an ordinary one: copies, pickles, states, compilers, and SegFormer."""

import copy
import inspect
import io
from typing import Any

import pytest
import torch
from replace_models import Around, Calling, Once, image, only
from torch import nn

import upsamplers


@pytest.fixture
def replaced() -> nn.Module:
    torch.manual_seed(0)
    model = Around(Calling()).eval()
    upsamplers.replace(model, "dysample", example=image(), calls=True)
    return model


def test_a_copy_has_operators_of_its_own(replaced: nn.Module) -> None:
    copied = copy.deepcopy(replaced)
    assert torch.equal(copied(image()), replaced(image()))
    with torch.no_grad():
        copied.upsamplers["0"].offset.bias.add_(1)
    assert not torch.equal(copied(image()), replaced(image()))
    assert type(copied) is type(replaced)


def test_a_state_dict_loads_into_another_replacement(replaced: nn.Module) -> None:
    again = Around(Calling()).eval()
    upsamplers.replace(again, "dysample", example=image(), calls=True)
    again.load_state_dict(replaced.state_dict())
    assert torch.equal(again(image()), replaced(image()))


def test_a_pickled_model_gives_the_same(replaced: nn.Module) -> None:
    file = io.BytesIO()
    torch.save(replaced, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(image()), replaced(image()))


@pytest.mark.slow
def test_a_replaced_model_compiles_without_graph_breaks() -> None:
    model = nn.Sequential(Calling(), nn.Upsample(scale_factor=2), Once(scale_factor=2)).eval()
    upsamplers.replace(model, "bilinear", example=image(), calls=True)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(image()), model(image()), atol=1e-5)


@pytest.fixture
def segformer() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1] * 4, decoder_hidden_size=32, num_labels=5
    )
    return transformers.SegformerForSemanticSegmentation(config).eval()


@pytest.mark.slow
def test_segformers_head_gets_operators(segformer: Any) -> None:
    x, before = image(64, 64), copy.deepcopy(segformer)
    report = upsamplers.replace(segformer, "dysample", example=x, calls="decode_head", step=2)
    found = [(row.where, row.channels, row.scale) for row in report.replaced]
    assert found == [(f"decode_head.upsamplers.{call}", 32, 2**call) for call in (1, 2, 3)]
    assert only(report) == "it keeps the size 16 x 16"
    expected, out = before(x).logits, segformer(x).logits
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, atol=1e-2)
    assert segformer(image(72, 104)).logits.shape == before(image(72, 104)).logits.shape


@pytest.mark.slow
def test_segformer_trains_with_operators(segformer: Any) -> None:
    x, labels = image(64, 64), torch.randint(0, 5, (2, 64, 64))
    example = {"pixel_values": x, "labels": labels}
    report = upsamplers.replace(segformer, "carafe", example=example, calls=True, compressed_channels=8)
    assert [row.where for row in report.replaced if row.channels == 5] == ["upsamplers.0"]
    segformer.train()(**example).loss.backward()
    added = [module for name, module in segformer.named_parameters() if "upsamplers" in name]
    assert len(added) == 4 * 4
    assert all(parameter.grad is not None for parameter in added)
    assert list(inspect.signature(segformer.forward).parameters) == ["pixel_values", "labels", "kwargs"]


@pytest.mark.slow
def test_segformer_compiles_with_operators(segformer: Any) -> None:
    upsamplers.replace(segformer, "dysample", example=image(64, 64), calls=True)
    compiled = torch.compile(segformer, backend="eager")
    assert torch.allclose(compiled(image(64, 64)).logits, segformer(image(64, 64)).logits, atol=1e-5)
