"""Every Triton operator under compute-sanitizer on CUDA, where it is installed: memory, and races in shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

CHANNELS, HEIGHT, WIDTH = 64, 13, 17
# Tensors of the caching allocator lie within larger allocations, where nothing beyond one is beyond memory.
APART = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
CHECKS = (("memcheck", "--report-api-errors", "no"), ("racecheck",))


def main() -> int:
    """Runs this file under each check; returns how many found something."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        print("compute-sanitizer is not installed: memory and races not checked")
        return 0
    failed = 0
    for check, *flags in CHECKS:
        command = [tool, "--tool", check, "--error-exitcode", "1", *flags, sys.executable, __file__, "operators"]
        failed += bool(subprocess.run(command, env={**os.environ, **APART}).returncode)
    return failed


def run_operators() -> None:
    """One forward and backward of each at an odd shape; every choice of blocks is run once and none is timed."""
    import torch
    from triton.runtime import driver

    import upsamplers
    from upsamplers.functional._triton import launch

    launch.KEPT_ON_DISK = False
    driver.active.get_benchmarker = lambda: lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]
    for name in upsamplers.names():
        if "triton" not in upsamplers.get(name).cls.backends:
            continue
        up = upsamplers.create(name, CHANNELS, backend="triton").cuda()
        inputs = up.example_inputs(2, HEIGHT, WIDTH, device="cuda")
        with torch.inference_mode():  # some do it otherwise where no gradient is wanted
            up.eval()(*inputs)
        up.train()(*(value.requires_grad_(value.is_floating_point()) for value in inputs)).square().sum().backward()
        torch.cuda.synchronize()
        print(name, flush=True)


if __name__ == "__main__":
    sys.exit(run_operators() if sys.argv[1:] == ["operators"] else main())
