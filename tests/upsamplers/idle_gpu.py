"""A simulated GPU: kernels are compiled and launched as on one, and nothing is computed.

Triton's own launching (choosing blocks by timing, specialising on arguments, binding them) runs with a driver that
takes every launch and does nothing. Tensors stay on the CPU, or on the meta device. Run without TRITON_INTERPRET.

    python tests/upsamplers/idle_gpu.py [operator ...]

prints every launch of the operators, forward and backward: operator, layout, kernel, grid.
"""

import importlib
import pkgutil
import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import upsamplers
from upsamplers.functional import _triton, backend
from upsamplers.functional._triton.launch import Tuned

CHANNELS, HEIGHT, WIDTH = 64, 13, 17
# The kernel's name and its grid.
launches: list[tuple[str, int, int, int]] = []


class Launcher:
    """In the place of the compiled stub that hands a kernel's arguments to CUDA."""

    def __init__(self, source, metadata):
        self.name = source.fn.__name__

    def __call__(self, x, y, z, stream, function, packed, metadata, enter, leave, *arguments):
        launches.append((self.name, x, y, z))


class Utilities:
    """What triton asks CUDA for."""

    def get_device_properties(self, device):
        """Of an H200."""
        return {"max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536, "warpSize": 32}

    def load_binary(self, name, kernel, shared, device):
        """A module, a function, registers, spills, threads."""
        return 1, 2, 32, 0, 1024


class Driver:
    """A GPU of compute capability 9.0 on which every block is as fast as any other."""

    utils = Utilities()
    launcher_cls = Launcher

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_benchmarker(self):
        """Runs once, so that a block that cannot be launched shows."""
        return lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]


def kernels() -> dict[str, Tuned]:
    """Every kernel of the Triton forms, by its name."""
    modules = [
        importlib.import_module(f"{_triton.__name__}.{found.name}") for found in pkgutil.iter_modules(_triton.__path__)
    ]
    members = [member for module in modules for member in vars(module).items()]
    return {name: member for name, member in members if isinstance(member, Tuned)}


def activate() -> None:
    """From here on "auto" launches kernels on the driver above, for tensors of any device and in every thread."""
    assert not backend.is_interpreted(), "run without TRITON_INTERPRET"
    driver.set_active(Driver())
    backend.is_interpreted = lambda: True  # so that tensors of the CPU are taken
    backend._Choice.backend = "triton"
    torch.backends.cudnn.allow_tf32 = False  # as in measurements; else cuDNN convolves


def keep_first_blocks() -> None:
    """Leaves every kernel the first blocks that fit each kind of input: hundreds take minutes to compile."""
    for kernel in kernels().values():
        kernel._fitting = lambda configs, arguments, kernel=kernel, fitting=kernel._fitting, **constants: fitting(
            configs, arguments, **constants
        )[:1]
        if kernel._tuner is not None:
            kernel._tuner.early_config_prune = kernel._fitting


def main(names: list[str]) -> None:
    """Every operator forward and backward in both layouts."""
    activate()
    keep_first_blocks()
    for name in names or upsamplers.names():
        if "triton" not in upsamplers.get(name).cls.backends:
            continue
        for layout in (torch.contiguous_format, torch.channels_last):
            up = upsamplers.create(name, CHANNELS)
            inputs = [
                value.contiguous(memory_format=layout).requires_grad_(value.is_floating_point())
                for value in up.example_inputs(2, HEIGHT, WIDTH)
            ]
            launches.clear()
            with torch.inference_mode():
                up.eval()(*inputs)
            up.train()(*inputs).sum().backward()
            for launch in launches:
                print(name, layout, *launch, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
