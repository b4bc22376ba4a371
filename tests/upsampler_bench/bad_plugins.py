"""Operators that fail in every possible way."""

import ctypes
import os
import subprocess
import time

import torch

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


@upsamplers.register("hangs")
class Hangs(Bad):
    def misbehave(self, x):
        time.sleep(3600)


@upsamplers.register("prints")
class Prints(Bad):
    def misbehave(self, x):
        print("operators may print what they like")


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


@upsamplers.register("refuses")
class Refuses(Bad):
    def misbehave(self, x):
        raise upsamplers.Unsupported(f"refuses {tuple(x.shape)}; expected something nicer")
