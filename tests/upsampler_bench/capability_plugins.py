"""Operators that each lack one capability, and one that lacks none."""

import ctypes

import torch
import torch.nn.functional as F

import upsamplers
from upsamplers import Unsupported, Upsampler


class Repeats(Upsampler):
    """Repeats every pixel of a changed feature."""

    def change(self, x):
        return x

    def forward(self, x):
        return F.interpolate(self.change(x), scale_factor=self.scale)


@upsamplers.register("sound")
class Sound(Repeats):
    def __init__(self, channels, *, scale=2):
        super().__init__(channels, scale=scale)
        self.factor = torch.nn.Parameter(torch.ones(channels, 1, 1))

    def change(self, x):
        return x * self.factor.to(x.dtype)


@upsamplers.register("guided")
class Guided(Repeats):
    needs_guide = True

    def __init__(self, channels, *, scale=2, guide_channels=None):
        super().__init__(channels, scale=scale)

    def make_guide(self, feature):
        return feature.mean(1, keepdim=True)

    def forward(self, x, guide):
        return super().forward(x) * guide


@upsamplers.register("refuses-bfloat16")
class RefusesBfloat16(Repeats):
    def change(self, x):
        if x.dtype == torch.bfloat16:
            raise Unsupported("no bfloat16 here")
        return x


@upsamplers.register("widens")
class Widens(Repeats):
    def change(self, x):
        return x.float()


@upsamplers.register("coarse")
class Coarse(Repeats):
    """Loses the digits of a narrow dtype."""

    def change(self, x):
        return (x + 1000) - 1000 if x.dtype != torch.float32 else x


@upsamplers.register("product")
class Product(Repeats):
    """Keeps the dtype that a product has under autocast."""

    def change(self, x):
        return torch.einsum("bchw,cd->bdhw", x, torch.eye(x.shape[1], dtype=x.dtype))


@upsamplers.register("needs-rows")
class NeedsRows(Repeats):
    def change(self, x):
        return x.view(x.shape[0], -1).view(x.shape)


@upsamplers.register("leaves-rows")
class LeavesRows(Repeats):
    def forward(self, x):
        return super().forward(x).contiguous()


@upsamplers.register("wants-width")
class WantsWidth(Repeats):
    def change(self, x):
        if x.shape[3] < 5:
            raise Unsupported(f"x is {x.shape[3]} wide; expected 5 at least")
        return x


@upsamplers.register("even-only")
class EvenOnly(Repeats):
    def change(self, x):
        if self.scale % 2:
            raise ValueError(f"odd scale {self.scale}")
        return x


@upsamplers.register("shuffles")
class Shuffles(Repeats):
    """Requires channels divisible by s²."""

    def change(self, x):
        if x.shape[1] % self.scale**2:
            raise Unsupported("does not divide")
        return x


@upsamplers.register("too-large")
class TooLarge(Repeats):
    def upsample_to(self, x, feature):
        return self(x)


class _Drifting(torch.autograd.Function):
    count = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        _Drifting.count += 1
        return grad * (1 + 1e-6 * _Drifting.count)


@upsamplers.register("drifts")
class Drifts(Repeats):
    def change(self, x):
        return _Drifting.apply(x)


@upsamplers.register("undetermined")
class Undetermined(Repeats):
    """Uses an operation that deterministic algorithms refuse, though it repeats here."""

    def change(self, x):
        values, indices = F.max_pool2d(x, 1, return_indices=True)
        return F.max_unpool2d(values, indices, 1)


@upsamplers.register("breaks-the-graph")
class BreaksTheGraph(Repeats):
    def change(self, x):
        torch._dynamo.graph_break()
        return x


@upsamplers.register("reads-a-value")
class ReadsAValue(Repeats):
    def change(self, x):
        return x * 1 if float(x.sum()) > 1e9 else x


@upsamplers.register("one-size")
class OneSize(Repeats):
    """Is compiled again for every height."""

    def change(self, x):
        return x + x.new_tensor(list(range(int(x.shape[2])))).sum() * 0


@upsamplers.register("crashes-in-float16")
class CrashesInFloat16(Repeats):
    def change(self, x):
        if x.dtype == torch.float16:
            ctypes.string_at(0)
        return x


@upsamplers.register("raises-always")
class RaisesAlways(Repeats):
    def change(self, x):
        raise RuntimeError("this operator has a bug")
