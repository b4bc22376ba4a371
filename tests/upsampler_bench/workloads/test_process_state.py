"""What an operator leaves changed is put back, and costs its own row alone."""

import pytest
import torch

from upsampler_bench.case import TRAIN, Case, Settings
from upsampler_bench.device import create
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Request
from upsampler_bench.workloads.process_state import ProcessState

LEAKS = [
    "leaks-grad-mode", "leaks-threads", "leaks-a-dtype", "leaks-a-device", "leaks-a-hook", "leaks-a-mode",
    "leaks-a-function",
]  # fmt: skip
SETTINGS = Settings(
    metrics=("latency", "train_latency"), warmup_seconds=0.0, warmup_calls=1, min_samples=2, max_time=0.05,
    malloc="default",
)  # fmt: skip


@pytest.fixture(autouse=True)
def restored(bad_operators):
    state = ProcessState()
    yield
    state.restore()


def measure(*names, mode="inference"):
    cases = tuple(Case(name, mode, channels=8, height=6, width=5) for name in names)
    messages = []
    request = Request(cases, "cpu", SETTINGS, {case.key: [] for case in cases})
    Group(request, create("cpu", SETTINGS), messages.append, lambda: False).measure()
    lost = {one.key.partition("/")[0]: one.text for one in messages if one.kind in ("failed", "skipped")}
    return lost, {message.key.partition("/")[0] for message in messages if message.reading}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("mode", ["inference", TRAIN])
def test_leaked_global_state_costs_its_own_row_alone(leak, mode):
    lost, measured = measure("bilinear", leak, "good", mode=mode)
    assert list(lost) == [leak]
    assert measured == {"bilinear", "good"}
    assert torch.is_grad_enabled()


def test_what_was_changed_is_named():
    assert measure("leaks-a-function")[0] == {
        "leaks-a-function": "wrong: changes torch.nn.functional.interpolate (shared with other operators)"
    }


def test_a_gradient_changed_in_backward_costs_its_own_row_alone():
    lost, measured = measure("bilinear", "writes-to-grad", "good", mode=TRAIN)
    assert list(lost) == ["writes-to-grad"]
    assert measured == {"bilinear", "good"}


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9 has one interface")
def test_precisions_set_by_both_interfaces_of_torch_are_put_back():
    state = ProcessState()
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # what reads the older `allow_tf32` then raises
    assert state.restore() == ["the settings of cuDNN"]
    assert state.restore() == []


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_autocast_of_either_device_is_put_back(device):
    state = ProcessState()
    torch.set_autocast_enabled(device, True)
    assert state.restore() == ["autocast"]
    assert not torch.is_autocast_enabled(device)


def test_inputs_changed_past_their_version_counter_cost_their_own_row_alone():
    lost, measured = measure("bilinear", "writes-by-numpy", "good")
    assert lost == {"writes-by-numpy": "wrong: modifies its inputs in place (they are shared with other operators)"}
    assert measured == {"bilinear", "good"}
