"""Triton operators on a simulated GPU: everything is compiled and launched as on one, and nothing is computed.

Triton's own launching (choosing blocks by timing, specialising on arguments, binding them) runs with a driver that
takes every launch and does nothing. Prints each launch: operator, layout, kernel, grid. Run without TRITON_INTERPRET.
"""

import importlib
import pkgutil
import threading

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import upsamplers
from upsamplers.functional import _triton, backend

CHANNELS, HEIGHT, WIDTH = 64, 13, 17
launches = []


class Launcher:
    """In the place of the compiled stub that hands a kernel's arguments to CUDA."""

    def __init__(self, source, metadata):
        self.name = source.fn.__name__

    def __call__(self, x, y, z, stream, function, packed, metadata, enter, leave, *arguments):
        """Takes a launch."""
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
        """What to compile for."""
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        """The only one."""
        return 0

    def get_current_stream(self, device):
        """The only one."""
        return 0

    def get_benchmarker(self):
        """Runs once, so that a block that cannot be launched shows."""
        return lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]


def fewer(kernel):
    """Leaves the first blocks for each layout."""
    first = {}
    for config in kernel.configs:
        first.setdefault(config.kwargs.get("STEP_C", 1) > 1, config)
    kernel.configs[:] = first.values()


def activate():
    """From here on kernels are compiled and launched on the driver above, also for tensors of the CPU."""
    assert not backend.is_interpreted()
    driver.set_active(Driver())
    for module in pkgutil.iter_modules(_triton.__path__):
        for kernel in vars(importlib.import_module(f"{_triton.__name__}.{module.name}")).values():
            if hasattr(kernel, "configs") and hasattr(kernel, "fits"):
                fewer(kernel)
    backend.is_interpreted = lambda: True  # so that tensors of the CPU are taken


def main():
    """Every operator forward and backward in both layouts."""
    activate()
    for name in upsamplers.names():
        if "triton" not in upsamplers.get(name).cls.backends:
            continue
        for layout in (torch.contiguous_format, torch.channels_last):
            up = upsamplers.create(name, CHANNELS, backend="triton")
            inputs = [
                value.contiguous(memory_format=layout).requires_grad_(value.is_floating_point())
                for value in up.example_inputs(2, HEIGHT, WIDTH)
            ]
            launches.clear()
            with torch.inference_mode():
                up(*inputs)
            up(*inputs).sum().backward()
            for launch in launches:
                print(name, layout, *launch, flush=True)
    at_once()


def at_once():
    """Several threads meet new kinds of input at the same time; one that fails ends this process."""
    up, failed = upsamplers.create("dysample", CHANNELS, backend="triton"), []

    def forward(size):
        try:
            with torch.inference_mode():
                up(torch.zeros(1, CHANNELS, size, size))
        except Exception as problem:
            failed.append(problem)

    threads = [threading.Thread(target=forward, args=(2**power,)) for power in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    main()
