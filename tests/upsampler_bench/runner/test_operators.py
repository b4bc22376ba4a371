"""Operators on their way into a measuring process: none is lost but what cannot be sent."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import upsamplers
from upsampler_bench.runner import operators

pytestmark = pytest.mark.usefixtures("registry_restored")

REGISTERED = """
import torch, upsamplers

class Net(torch.nn.Module):
    def __init__(self, channels, scale):
        super().__init__()
        self.up = torch.nn.ConvTranspose2d(channels, channels, scale, scale)

    def forward(self, x):
        return self.up(x)

def build(channels, scale):
    return Net(channels, scale)

def define():
    @upsamplers.register("of a function")
    class Inside(upsamplers.Upsampler):
        def forward(self, x):
            return build(self.channels, self.scale)(x)

upsamplers.register_module("of a class", Net)
upsamplers.register_module("of a builder", build)
upsamplers.register_module("of a lambda", lambda channels, scale: build(channels, scale))
define()
"""
NAMES = ("of a class", "of a builder", "of a lambda", "of a function")
SEND = f"""
from upsampler_bench.runner import operators
if __name__ == "__main__":
    open("sent", "wb").write(operators.pickled({NAMES}))
"""
RECEIVE = f"""
import torch, upsamplers
from upsampler_bench.runner import operators
operators.load((), open("sent", "rb").read())
for name in {NAMES}:
    assert upsamplers.create(name, 3)(torch.ones(1, 3, 2, 2)).shape == (1, 3, 4, 4)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "main"),
        *(pytest.param(other, marks=pytest.mark.exhaustive) for other in (("main.py",), ("-m", "my_operators"))),
    ],
)
def test_what_an_imported_module_registers_arrives(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "my_operators.py").write_text(REGISTERED + SEND, encoding="utf-8")
    (tmp_path / "main.py").write_text("import my_operators\n" + SEND, encoding="utf-8")
    for command in (arguments, ("-c", RECEIVE)):
        subprocess.run([sys.executable, *command], check=True, cwd=tmp_path)


def received(*names: str) -> None:
    """Sends operators, and receives them in a registry without them."""
    sent = operators.pickled(names)
    for name in names:
        upsamplers.registry._specs.pop(name)
    operators.load((), sent)


def test_an_operator_that_cannot_be_pickled_fails_alone() -> None:
    scripted = torch.jit.script(torch.nn.Upsample(scale_factor=2))
    upsamplers.register_module("scripted", lambda channels, scale: scripted)
    upsamplers.register_module("plain", lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
    received("scripted", "plain")
    assert upsamplers.create("plain", 3)(torch.ones(1, 3, 2, 2)).shape == (1, 3, 4, 4)
    with pytest.raises(pickle.PicklingError, match="scripted cannot be sent to a measuring process"):
        upsamplers.create("scripted", 3)


class Stubborn:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_an_operator_that_cannot_be_unpickled_fails_alone() -> None:
    stubborn = Stubborn()
    upsamplers.register_module("stubborn", lambda channels, scale: stubborn)  # type: ignore[arg-type, return-value]
    upsamplers.register_module("plain", lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
    received("stubborn", "plain")
    assert upsamplers.create("plain", 3).scale == 2
    with pytest.raises(pickle.PicklingError, match=r"stubborn cannot be sent to a measuring process \(ValueError"):
        upsamplers.create("stubborn", 3)
