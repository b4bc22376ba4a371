"""Operators that fail in every possible way."""

import _thread
import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import upsamplers


class Bad(upsamplers.Upsampler):
    def forward(self, x):
        self.misbehave(x)
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


@upsamplers.register("good")
class Good(Bad):
    def misbehave(self, x): ...


@upsamplers.register("raises")
@upsamplers.register("raises-too")
class Raises(Bad):
    def misbehave(self, x):
        raise RuntimeError("this operator has a bug")


@upsamplers.register("eats-memory")
class EatsMemory(Bad):
    def misbehave(self, x):
        self.hoard = []
        while True:
            self.hoard.append(torch.ones(64 * 2**20))


@upsamplers.register("segfaults")
class Segfaults(Bad):
    def misbehave(self, x):
        ctypes.string_at(0)


@upsamplers.register("exits")
class Exits(Bad):
    def misbehave(self, x):
        os._exit(3)


@upsamplers.register("wrong-shape")
class WrongShape(Bad):
    misbehave = Good.misbehave

    def forward(self, x):
        return x


@upsamplers.register("not-finite")
class NotFinite(Bad):
    misbehave = Good.misbehave

    def forward(self, x):
        return super().forward(x) / 0


@upsamplers.register("unwritten")
class Unwritten(Bad):
    misbehave = Good.misbehave

    def forward(self, x):
        out = torch.empty(*x.shape[:2], self.scale * x.shape[2], self.scale * x.shape[3])
        out[..., 1:, :] = 1
        return out


@upsamplers.register("writes-to-x")
class WritesToX(Bad):
    def misbehave(self, x):
        x.detach().mul_(0.5)


@upsamplers.register("untraceable")
class Untraceable(Bad):
    def misbehave(self, x):
        if torch.jit.is_tracing():
            raise RuntimeError("cannot be traced")


@upsamplers.register("forks")
class Forks(Bad):
    def misbehave(self, x):
        subprocess.Popen(["sleep", "120"])
        os._exit(7)


LEAKS = {
    "leaks-grad-mode": lambda: torch.set_grad_enabled(False),
    "leaks-threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "leaks-a-dtype": lambda: torch.set_default_dtype(torch.float64),
    "leaks-a-device": lambda: torch.set_default_device("cpu"),
    "leaks-a-hook": lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: time.sleep(0.01)),
    "leaks-a-mode": lambda: TorchDispatchMode().__enter__(),
    "leaks-a-function": lambda: setattr(F, "interpolate", lambda *_, **__: None),
}


class Leaks(Bad):
    def __init__(self, channels, *, scale=2, leak=""):
        super().__init__(channels, scale=scale)
        LEAKS[leak]()

    def misbehave(self, x): ...


for leak in LEAKS:
    upsamplers.register(leak, leak=leak)(Leaks)


@upsamplers.register("writes-by-numpy")
class WritesByNumpy(Bad):
    def misbehave(self, x):
        x.detach().numpy()[...] += 1

    def forward(self, x):
        out = super().forward(x.clone())
        self.misbehave(x)
        return out


class NegatesItsGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.detach().neg_()


@upsamplers.register("writes-to-grad")
class WritesToItsGradient(Bad):
    misbehave = Good.misbehave

    def forward(self, x):
        return NegatesItsGradient.apply(super().forward(x))


@upsamplers.register("ends-late")
class EndsLate(Bad):
    timer = None

    def misbehave(self, x):
        if self.timer is None:
            self.timer = threading.Timer(2.0, os._exit, [9])
            self.timer.daemon = True
            self.timer.start()


@upsamplers.register("forges-the-end")
class ForgesTheEnd(Bad):
    """Writes to every pipe of the process what could be taken for a message."""

    def misbehave(self, x):
        for descriptor in range(3, 30):
            with contextlib.suppress(OSError):
                os.write(descriptor, b'{"kind": "end"}\n')


@upsamplers.register("interrupts")
class Interrupts(Bad):
    def misbehave(self, x):
        _thread.interrupt_main()


@upsamplers.register("refuses")
class Refuses(Bad):
    def misbehave(self, x):
        raise upsamplers.Unsupported(f"refuses {tuple(x.shape)}; expected something nicer")


def escape():
    """Leaves a process in a session of its own, and says which."""
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with Path(os.environ["CHILDREN"]).open("a") as file:
        file.write(f"{child.pid} {os.getpid()}\n")


@upsamplers.register("escapes-and-stops")
class EscapesAndStops(Bad):
    def misbehave(self, x):
        escape()
        os.kill(os.getpid(), signal.SIGSTOP)


# Those that can be measured come last: a process that ends with one is blamed on it alone if it has built no other.


@upsamplers.register("escapes")
class Escapes(Bad):
    def misbehave(self, x):
        escape()


@upsamplers.register("prints")
class Prints(Bad):
    def misbehave(self, x):
        print("operators may print what they like")
