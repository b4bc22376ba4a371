"""Kernels compile and launch as on a GPU, without one: Triton's compiler is stricter than its interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("triton")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# Every option the other way round than in the table, and one group: a one is a constant to the compiler.
OTHER_OPTIONS = """
import fused_instructions as table
table.GROUPS = 1
options = {
    "WIDE": True, "HAS_SHARED": True, "HAS_SCOPES": True, "HAS_SCOPE_BIAS": True, "EXACT": True, "UNMASKED": False
}
first = {kernel: (config, constants) for kernel, config, constants in reversed([*table.blocks()])}
for kernel, (config, constants) in first.items():
    constants = {**constants, **{name: value for name, value in options.items() if name in constants}}
    print(table.compiled(kernel, config, constants, "bf16").name)
"""


def run(tmp_path, *command):
    """The lines that a process prints in which triton compiles and does not interpret."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    paths = [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_every_kernel_compiles_for_a_gpu_with_every_option(tmp_path):
    assert len(set(run(tmp_path, "-c", OTHER_OPTIONS))) == 9


def test_no_choice_of_blocks_needs_more_registers_than_there_are(tmp_path):
    table = run(tmp_path, str(BENCHMARKS / "fused_instructions.py"), "float32", "contiguous")
    heading, subject, *lines = (line.split() for line in table)
    assert heading[:4] == ["kernel", "blocks", "regs", "spill"]
    assert subject == ["float32,", "contiguous"]
    assert len({line[0] for line in lines}) == 9
    spilled = {" ".join(line): int(line[-5]) for line in lines}
    assert not any(spilled.values()), spilled


def test_every_launch_is_bound_and_specialised_as_on_a_gpu(tmp_path):
    points = {f"sample_points_{way}_kernel" for way in ("fwd", "bwd_dx", "bwd_dprojected")}
    windows = {f"window_sum_{way}_kernel" for way in ("fwd", "bwd_dx", "bwd_dlogits")}
    launched = {}
    for line in run(tmp_path, str(Path(__file__).parents[1] / "idle_gpu.py")):
        operator, layout, kernel, *grid = line.split()
        launched.setdefault((operator, layout), set()).add(kernel)
        assert all(int(size) >= 1 for size in grid)
    for layout in ("torch.contiguous_format", "torch.channels_last"):
        assert launched.pop(("bilinear-triton", layout)) == {"sample_points_fwd_kernel", "bilinear_bwd_dx_kernel"}
        assert launched.pop(("dysample+-triton", layout)) == points
        assert launched.pop(("dysample-s+-triton", layout)) == {*points, "project_and_sample_fwd_kernel"}
        assert launched.pop(("carafe-triton", layout)) == windows
        assert launched.pop(("sapa-b-triton", layout)) == {*windows, "affinity_sum_fwd_kernel"}
    assert not launched
