"""Kernels compile and launch as on a GPU, without one: Triton's compiler is stricter than its interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import upsamplers

pytest.importorskip("triton")
pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[3]
FUSED = [name for name in upsamplers.names() if "triton" in upsamplers.get(name).cls.backends]

# Two claims, and one process that imports and compiles for both.
PROGRAM = """
import idle_gpu, threading, torch, upsamplers
idle_gpu.activate()
idle_gpu.keep_first_blocks()
x = torch.zeros(1, 64, 5, 6)
def kernels(module):
    idle_gpu.launches.clear()
    with torch.no_grad():
        module.eval()(x)
    return len(idle_gpu.launches)
model = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2, mode="bilinear"))
upsamplers.replace(model, "carafe", example=x)
loaded = upsamplers.create("carafe", 64)
upsamplers.load_published(loaded, {"neck." + key: value for key, value in loaded.state_dict().items()})
print(*map(kernels, (upsamplers.create("carafe", 64), model, loaded, upsamplers.create("carafe", 64, backend="torch"))))
up, met = upsamplers.create("dysample", 64), []
def forward(size):
    with torch.inference_mode():
        met.append(up(torch.zeros(1, 64, size, size)).shape[2])
threads = [threading.Thread(target=forward, args=(2**power,)) for power in range(1, 7)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*sorted(met))
"""


def run(tmp_path, *command):
    """The lines that a process prints in which triton compiles and does not interpret."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    paths = [str(TESTS / "upsamplers"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_all_ways_to_an_operator_launch_kernels_and_threads_may_meet_new_kinds_of_input_at_the_same_time(tmp_path):
    launches, sizes = run(tmp_path, "-c", PROGRAM)[-2:]
    created, replaced, loaded, on_torch = map(int, launches.split())
    assert created == replaced == loaded > 0
    assert on_torch == 0
    assert sizes == "4 8 16 32 64 128"


@pytest.mark.exhaustive
def test_every_operator_launches_as_on_a_gpu_in_both_layouts(tmp_path):
    launched = {}
    for line in run(tmp_path, str(TESTS / "upsamplers" / "idle_gpu.py")):
        operator, layout, kernel, *grid = line.split()
        launched.setdefault((operator, layout), set()).add(kernel)
        assert min(map(int, grid)) >= 1
    assert {operator for operator, _ in launched} == set(FUSED)
    for operator in FUSED:
        rows, channels = (launched[operator, f"torch.{layout}"] for layout in ("contiguous_format", "channels_last"))
        # Rows have a kernel of their own for the gradient of weights.
        assert {kernel.replace("_by_tap", "") for kernel in rows} == channels


@pytest.mark.exhaustive
def test_host_times_of_every_operator_are_printed(tmp_path):
    first, *lines = run(tmp_path, str(TESTS / "benchmarks" / "host_cost.py"))
    assert first.split()[0] == "F.interpolate"
    assert {line.split()[0] for line in lines} == set(FUSED)
    assert all(int(line.split()[-2]) > 0 for line in lines)


@pytest.mark.exhaustive
def test_no_choice_of_blocks_needs_more_registers_than_there_are(tmp_path):
    lines = run(tmp_path, str(TESTS / "benchmarks" / "kernel_instructions.py"), "--first")
    rows = [line.split() for line in lines if "_kernel " in line]
    assert len(rows) > 100
    spilled = [" ".join(row) for row in rows if int(row[-5])]
    assert not spilled, "\n".join(spilled)
