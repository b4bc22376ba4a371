"""Models from a user's own file."""

import sys

import pytest

import upsamplers
from upsampler_bench import models

FILE = """
import torch
import upsamplers

upsamplers.register_module("own-of-a-file", lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
print("executed")


def build(make):
    return make(4)
"""


@pytest.fixture
def file(tmp_path, monkeypatch, registry_restored):
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    path = tmp_path / "own.py"
    path.write_text(FILE)
    return path


def test_a_file_is_executed_once_however_often_its_model_is_asked_for(file, capsys):
    assert [models.get(f"{file}:build").name for _ in range(2)] == [f"{file}:build"] * 2
    assert capsys.readouterr().out == "executed\n"


def test_one_file_may_hold_an_operator_and_a_model(file):
    assert upsamplers.registry.load_plugin(str(file)) == ("own-of-a-file",)
    model = models.get(f"{file}:build").build(lambda channels: upsamplers.create("own-of-a-file", channels))
    assert isinstance(model, upsamplers.Upsampler)
