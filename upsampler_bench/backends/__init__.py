"""How an operator is executed: one backend a file; the file's name is the backend's.

A backend that calls something else in a module's place has `prepare`, see below.
A backend that cannot run every case has `why_not(case)`, which says why it cannot run one here, whatever the operator.
An engine, which runs the exported file of a module, has `IS_ENGINE`; it prepares an `Engine` (`_engine.py`). One that
takes long to prepare a module says about how long in `SECONDS`.
A file imports torch inside its functions only, so that plans and help read its description without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from upsampler_bench import discovery
from upsampler_bench.case import Case

if TYPE_CHECKING:
    from torch import Tensor, nn


class Backend(Protocol):
    """What every backend's file has.

    Attributes:
        DESCRIPTION: what it runs, in one line.
        OPERATORS: the backend that `upsamplers.create` builds operators with: "torch", "triton" or "auto".
    """

    DESCRIPTION: str
    OPERATORS: str


def names() -> tuple[str, ...]:
    """The names of all backends; none is imported."""
    return discovery.modules(__name__)


def get(name: str) -> Backend:
    """A backend by its name.

    Raises:
        PlanError: there is none.
        MissingPackage: it needs a package that is not installed.
    """
    return cast(Backend, discovery.load(__name__, name))


def prepare(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """What is called, and timed, in the module's place: what the backend's own `prepare` gives, else the module.

    Args:
        name: of the backend.
        module: the operator, or the model it is in, on its device, in training mode where it is to be trained.
        inputs: what it will be called with.

    Returns:
        A callable of these inputs, with the module's outputs.

    Raises:
        upsamplers.Unsupported: the backend cannot execute this module.
    """
    own = getattr(get(name), "prepare", None)
    call: Callable[..., Any] = own(module, inputs) if own else module
    return call


def why_not(case: Case) -> str | None:
    """Why a case's backend cannot run it here, whatever the operator, or None."""
    refuse: Callable[[Case], str | None] | None = getattr(get(case.backend), "why_not", None)
    return refuse(case) if refuse else None


def is_engine(name: str) -> bool:
    """Whether this backend exports the module and runs the file in an engine, outside torch."""
    return getattr(get(name), "IS_ENGINE", False)
