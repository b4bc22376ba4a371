"""Operations of Triton kernels: launched directly in eager mode, by torch's dispatcher where something looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.errors import Unsupported


class Operation:
    """A function of tensors and numbers that launches kernels.

    Called in eager mode it launches at once, with gradients through an autograd.Function: the dispatcher would go
    through Python twice more. While a program is compiled, and under FakeTensorMode or another dispatch mode (FLOP and
    memory counters), it is the custom operation torch.ops.upsamplers.<name>.

    Args:
        forward: the function; annotated as torch.library.custom_op needs it. Its name is the operation's.
        fake: of the same arguments, the shapes that it returns.
        setup_context, backward: as of an autograd.Function, for torch.library.register_autograd; or neither.
        flops: of the shapes of the arguments: two for each multiply-add, as torch counts.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        fake: Callable[..., Any],
        *,
        setup_context: Callable[..., None] | None = None,
        backward: Callable[..., Any] | None = None,
        flops: Callable[..., int] | None = None,
    ) -> None:
        self._forward = forward
        self._custom = torch.library.custom_op(f"upsamplers::{forward.__name__}", forward, mutates_args=())
        self._custom.register_fake(fake)
        self._function: Any = None
        if backward is not None:
            self._custom.register_autograd(backward, setup_context=setup_context)
            assert setup_context is not None
            members = {
                "forward": staticmethod(forward),
                "setup_context": staticmethod(setup_context),
                "backward": staticmethod(backward),
            }
            self._function = type(forward.__name__, (torch.autograd.Function,), members)
        if flops is not None:
            register_flop_formula(getattr(torch.ops.upsamplers, forward.__name__))(flops)

    def __call__(self, *arguments: Any) -> Any:
        """Runs it; arguments are positional.

        Raises:
            Unsupported: a gradient is wanted of what has none.
        """
        if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
            return self._custom(*arguments)
        if torch.is_grad_enabled():
            for argument in arguments:
                if isinstance(argument, Tensor) and argument.requires_grad:
                    return self._differentiable(arguments)
        return self._forward(*arguments)

    def _differentiable(self, arguments: tuple[Any, ...]) -> Any:
        if self._function is None:
            name = self._forward.__name__
            raise Unsupported(f"{name} has no derivative on backend 'triton'; second derivatives need backend 'torch'")
        return self._function.apply(*arguments)
