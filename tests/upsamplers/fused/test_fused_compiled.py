"""The fused kernels go through Triton's compiler and its launching, which are stricter than its interpreter.

No GPU is needed for that.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("triton")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# Every option the other way round than the table has it, and one group: what is one is a constant to the compiler.
OTHERWISE = """
import fused_instructions as told
told.GROUPS = 1
flipped = {"WIDE": True, "HAS_OWN": True, "HAS_SCOPES": True, "HAS_SCOPE_BIAS": True, "EXACT": True, "WHOLE": False}
first = {kernel: (config, constants) for kernel, config, constants in reversed([*told.blocks()])}
for kernel, (config, constants) in first.items():
    constants = {**constants, **{name: value for name, value in flipped.items() if name in constants}}
    print(told.compiled(kernel, config, constants, "bf16").name)
"""


def run(tmp_path, *command):
    """Where triton compiles and does not interpret."""
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    given = {**bare, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(BENCHMARKS)}
    done = subprocess.run([sys.executable, *command], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_every_kernel_compiles_for_a_gpu_with_every_option(tmp_path):
    assert len(set(run(tmp_path, "-c", OTHERWISE))) == 9


def test_no_choice_of_blocks_needs_more_registers_than_there_are(tmp_path):
    table = run(tmp_path, str(BENCHMARKS / "fused_instructions.py"), "float32", "contiguous")
    heading, told, *lines = (line.split() for line in table)
    assert heading[:4] == ["kernel", "blocks", "regs", "spill"]
    assert told == ["float32,", "contiguous"]
    assert len({line[0] for line in lines}) == 9
    spilled = {" ".join(line): int(line[-5]) for line in lines}
    assert not any(spilled.values()), spilled


def test_every_launch_is_bound_and_specialised_as_on_a_gpu(tmp_path):
    points = {"sample_points", "sample_points_features_backward", "sample_points_offsets_backward"}
    windows = {"window_sum", "window_sum_features_backward", "window_sum_logits_backward"}
    launched = {}
    for line in run(tmp_path, str(Path(__file__).parents[1] / "idle_gpu.py")):
        twin, layout, kernel, *grid = line.split()
        launched.setdefault((twin, layout), set()).add(kernel)
        assert all(int(size) >= 1 for size in grid)
    for layout in ("torch.contiguous_format", "torch.channels_last"):
        assert launched.pop(("bilinear-triton", layout)) == {"sample_points", "bilinear_backward"}
        assert launched.pop(("dysample+-triton", layout)) == points
        assert launched.pop(("dysample-s+-triton", layout)) == {*points, "project_and_sample"}
        assert launched.pop(("carafe-triton", layout)) == windows
        assert launched.pop(("sapa-b-triton", layout)) == {*windows, "affinity_sum"}
    assert not launched
