"""Models by their names, arguments and files: what is found, and how the rest is refused."""

import sys

import pytest
import torch

import upsamplers
from upsampler_bench import models
from upsampler_bench.errors import PlanError

MINE = """
from torch import nn

LIMIT = 3


class Mine(nn.Module):
    def __init__(self, make_upsampler):
        super().__init__()
        self.stage = make_upsampler(8)

    def forward(self, image):
        return self.stage.upsample_to(image.repeat(1, 3, 1, 1)[:, :8, ::2, ::2], image)


def build(make_upsampler):
    return Mine(make_upsampler)
"""


def nearest(channels, guide_channels=None):
    return upsamplers.create("nearest", channels, guide_channels=guide_channels)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    path = tmp_path / "my_own_model.py"
    path.write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("my_own_model", None)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("segformer-b2", "did you mean 'segformer-b1'"),
        ("fpn_r50", "did you mean 'fpn-r50'"),
        ("fpn-r51(3)", "did you mean 'fpn-r50'"),
        ("", "there are "),
        ("zzz", "give your own as module:function"),
    ],
)
@pytest.mark.parametrize("look_up", [models.check, models.get])
def test_an_unknown_model_is_refused_with_the_nearest_name(look_up, name, hint):
    with pytest.raises(PlanError, match=f"no model {name!r}".replace("(", r"\(").replace(")", r"\)")) as refused:
        look_up(name)
    assert hint in str(refused.value)


def test_an_argument_is_refused_by_a_model_that_takes_none():
    with pytest.raises(PlanError, match=r"model 'segformer-b1' takes no argument, but 'segformer-b1\(3\)' has one"):
        models.get("segformer-b1(3)")


def test_a_missing_argument_is_described():
    with pytest.raises(PlanError, match="model 'stages' needs an argument: a list of stages CxHxW or CxHxW/G"):
        models.get("stages")


@pytest.mark.parametrize("source", ["file", "module"])
def test_a_users_own_model_comes_from_a_file_or_a_module(mine, source):
    name = f"{mine if source == 'file' else mine.stem}:build"
    models.check(name)
    model = models.get(name)
    assert model.name == name
    assert model.why_not(7, 5) is None
    assert model.shapes(7, 5) == ((3, 7, 5),)
    assert not model.features
    assert model.build(nearest)(torch.rand(2, 3, 7, 5)).shape == (2, 8, 7, 5)


@pytest.mark.parametrize("look_up", [models.check, models.get])
@pytest.mark.parametrize("function", ["LIMIT", "nothing", ""])
def test_a_missing_function_is_refused(mine, look_up, function):
    with pytest.raises(PlanError, match=f"has no function {function!r}; expected one that takes make_upsampler"):
        look_up(f"{mine}:{function}")


@pytest.mark.parametrize("look_up", [models.check, models.get])
def test_a_file_that_does_not_load_is_refused_with_its_reason(tmp_path, look_up):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    with pytest.raises(PlanError, match=r"cannot load model .*ZeroDivisionError: division by zero"):
        look_up(f"{broken}:build")
    with pytest.raises(PlanError, match=r"cannot load model .*no file .*absent\.py"):
        look_up(f"{tmp_path / 'absent.py'}:build")
    with pytest.raises(PlanError, match=r"cannot load model 'no_such_module:build'.*No module named 'no_such_module'"):
        look_up("no_such_module:build")


def test_stages_have_inputs_of_their_own_and_upsample_each():
    model = models.get("stages(8x3x4/6 + 4x5x5)")
    assert model.why_not(7, 5) is None
    assert model.features == model.shapes(7, 5) == ((8, 3, 4), (6, 6, 8), (4, 5, 5), (4, 10, 10))
    outputs = model.build(nearest)(*(torch.rand(2, *shape) for shape in model.features))
    assert [tuple(out.shape) for out in outputs] == [(2, 8, 6, 8), (2, 4, 10, 10)]


def test_stages_ask_for_the_guide_channels_that_they_were_given():
    requested = []

    def make(*channels):
        requested.append(channels)
        return nearest(*channels)

    models.get("stages(8x3x4/6+4x5x5)").build(make)
    assert requested == [(8, 6), (4, 4)]


@pytest.mark.parametrize("before", ["", "8x4x4+"])
@pytest.mark.parametrize(
    "stage",
    ["", "256", "256x16", "256x16x16x2", "256x16x16/", "256x16x16/0", "0x16x16", "-8x16x16", "8x1.5x16", "8x4x4,8x4x4"],
)
def test_a_malformed_list_of_stages_is_refused_with_the_stage_at_fault(before, stage):
    with pytest.raises(PlanError) as refused:
        models.get(f"stages({before}{stage})")
    expected = f"stage {stage!r}: expected CxHxW or CxHxW/G in positive integers, such as 256x16x16/64"
    assert str(refused.value) == expected
