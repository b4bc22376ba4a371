"""The fused kernels go through Triton's compiler, which is stricter than its interpreter; no GPU is needed for that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
SCRIPT = Path(__file__).with_name("compile_fused.py")


@pytest.mark.parametrize(("width", "element"), [("narrow", "fp32"), ("wide", "bf16")])
def test_every_kernel_compiles_for_a_gpu(width, element, tmp_path):
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), width, element],
        env={**bare, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == 8
