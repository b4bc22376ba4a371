"""Fixtures for the tests of the operators."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from a second thread, and wait long for it on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For what may depend on how the work is divided."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def float32_is_float32() -> Iterator[None]:
    """Convolutions in TF32 are off by more than these tests allow."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.deterministic = before


@pytest.fixture
def unwritten_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is allocated without a value holds NaN, so that an element that no program writes shows."""
    own_like, own_new = torch.empty_like, torch.Tensor.new_empty

    def filled(made: torch.Tensor) -> torch.Tensor:
        return made.fill_(float("nan")) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: filled(own_like(*a, **k)))
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *a, **k: filled(own_new(*a, **k)))
    own = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: filled(own(*a, **k)))
