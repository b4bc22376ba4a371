"""Elementwise functions: their first calls are made before two threads can make them at once."""

import ast
from pathlib import Path

import torch

import upsamplers
from upsamplers.functional._torch import ELEMENTWISE

# What torch hands to MKL's vector mathematics, aten/src/ATen/cpu/vml.h.
BY_MKL = {"cos", "cosh", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "lgamma", "log", "log10", "log1p", "log2"} | {
    "acos", "asin", "atan", "sin", "sinh", "sqrt", "tan", "tanh"
}  # fmt: skip


def called(path):
    """The names of the methods of tensors and of the functions of torch that a file calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if not (isinstance(owner, ast.Name) and owner.id in ("math", "tl")):
                yield node.func.attr.removesuffix("_")


def test_each_function_that_the_operators_call_has_been_called():
    files = Path(upsamplers.__file__).parent.rglob("*.py")
    used = {getattr(torch, name) for path in files for name in called(path) if name in BY_MKL}
    assert used == set(ELEMENTWISE)
