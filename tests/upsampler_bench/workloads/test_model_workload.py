"""Operators measured inside a model: what is built, counted, trained and refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice
from sample_workload import built

import upsamplers
from upsampler_bench import metrics, plan
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.device import Cpu
from upsampler_bench.errors import PlanError
from upsampler_bench.metrics import flops, params, time_in_upsamplers, train_memory
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Request
from upsampler_bench.workloads import output_check

TINY = str(Path(__file__).parents[1] / "tiny_model.py")
SETTINGS = Settings(warmup_calls=1, warmup_seconds=0.0)
CASE = Case("carafe", INFERENCE, 2, 3, 24, 20, model=f"{TINY}:build")
NAMES = ("nearest", "bilinear", "carafe", "fade")


def parameters(case):
    return params.measure(built(case), Cpu())[1].samples[0]


@pytest.mark.parametrize("name", ["bilinear", "carafe", "fade", "max-unpool"])
@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_any_operator_runs_in_a_users_own_model(name, mode):
    load = built(replace(CASE, upsampler=name, mode=mode))
    assert torch.isfinite(load.step()).all()
    assert output_check.why_wrong(load) is None


def test_an_operator_that_cuts_the_gradient_is_wrong_in_training_alone():
    loads = {mode: built(replace(CASE, mode=mode)) for mode in (INFERENCE, TRAIN)}
    for load in loads.values():
        load.module.up.register_forward_hook(lambda module, inputs, out: out.detach())
        load.step()
    assert output_check.why_wrong(loads[INFERENCE]) is None
    assert output_check.why_wrong(loads[TRAIN]) == "wrong gradient: no parameter of the operator gets one"


def test_a_model_without_operators_is_refused():
    with pytest.raises(upsamplers.Unsupported, match="never called make_upsampler"):
        built(replace(CASE, model=f"{TINY}:without"))


def test_a_model_adds_exactly_its_operators_parameters():
    alone = sum(parameter.numel() for parameter in upsamplers.create("carafe", 8).parameters())
    assert parameters(CASE) - parameters(CASE.of("bilinear")) == alone


def test_a_model_counts_exactly_what_its_operator_multiplies():
    stage = upsamplers.create("carafe", 8).eval()
    own = flops.counts(stage, (torch.zeros(2, 8, 6, 5),), flops._conventions.ALL).by_convention
    inside = [flops.of(built(CASE.of(name))).by_convention for name in ("carafe", "nearest")]
    assert inside[0]["mac"] - inside[1]["mac"] == own["mac"]
    assert inside[0]["paper"] - inside[1]["paper"] == own["paper"]


def test_what_other_tools_count_too_equals_the_hand_count():
    paper, mac = flops.measure(built(CASE.of("nearest")), Cpu())[::-1]
    biased = 2 * (8 * 12 * 10 + 8 * 6 * 5 + 5 * 12 * 10)
    assert paper.facts["extras"] == mac.facts["extras"] == biased


def test_a_training_step_learns_and_repeats():
    loads = [built(replace(CASE, mode=TRAIN)) for _ in range(2)]
    before = {name: value.clone() for name, value in loads[0].module.up.state_dict().items()}
    losses = [[load.train_step().item() for _ in range(3)] for load in loads]
    assert losses[0] == losses[1]
    assert any(not torch.equal(value, before[name]) for name, value in loads[0].module.up.state_dict().items())


@pytest.mark.parametrize(("function", "sizes"), [("build", [(2, 24, 20)]), ("tuples", [(2, 12, 10), (2, 6, 5)])])
def test_one_output_is_labelled_at_the_images_size_and_several_each_at_their_own(function, sizes):
    load = built(replace(CASE, mode=TRAIN, model=f"{TINY}:{function}"))
    assert torch.isfinite(load.train_step())
    assert [tuple(labels.shape) for labels in load.training_step._labels] == sizes


def test_training_memory_ends_where_it_began():
    load = built(replace(CASE, mode=TRAIN))
    load.step()
    first, second = (train_memory.measure(load, Cpu())[0].samples for _ in range(2))
    assert first == second
    assert first[0] > 0


class Clock(FakeDevice):
    """A second passes between two moments."""

    def moment(self):
        self.now += 1.0
        return self.now


class LaunchHidingClock(Clock):
    """Calls once more before it times, as a GPU does."""

    def time(self, call, count):
        call()
        return super().time(call, count)


@pytest.mark.parametrize("clock", [Clock, LaunchHidingClock])
def test_the_share_is_what_passes_inside_the_upsamplers(clock):
    (reading,) = time_in_upsamplers.measure(built(CASE), clock())
    # Moments: begin, enter, leave, end; one of three seconds passes inside.
    assert reading.samples == pytest.approx([1 / 3] * len(reading.samples))
    assert len(reading.rounds) == 8


def test_stages_are_a_model_of_features_and_train_without_parameters_too():
    case = Case("bilinear", TRAIN, 1, 3, 8, 8, model="stages(8x4x4/6+4x8x8)")
    load = built(case)
    assert [tuple(x.shape) for x in load.inputs] == [(1, 8, 4, 4), (1, 6, 8, 8), (1, 4, 8, 8), (1, 4, 16, 16)]
    assert torch.isfinite(load.train_step())
    guided = built(case.of("fade"))
    guided.train_step()
    assert all(parameter.grad is not None for parameter in guided.module.parameters())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (f"{TINY}:wrong", "returned int, expected an nn.Module"),
        (f"{TINY}:nothing", "wrong output of the model: NoneType; expected scores (2, K, h, w) or a tuple"),
        (f"{TINY}:eights", "takes images whose sides are multiples of 8, not 24x20"),
    ],
)
def test_an_error_of_a_model_is_the_reason_of_its_row(model, reason):
    case = replace(CASE, model=model)
    messages = []
    request = Request((case,), "cpu", SETTINGS, {case.key: []})
    Group(request, FakeDevice(), messages.append, lambda: False).measure()
    (text,) = [message.text for message in messages if message.kind in ("failed", "skipped")]
    assert reason in text


def test_a_metric_of_another_subject_is_not_measured():
    inside, alone = metrics.for_case(CASE, ()), metrics.for_case(replace(CASE, model=""), ())
    assert "time_in_upsamplers" in set(inside) - set(alone)
    assert {"roofline", "traffic"} <= set(alone) - set(inside)
    assert {"latency", "flops"} <= set(alone) & set(inside)


def test_a_plan_measures_in_models_at_an_images_size():
    sweep = plan.parse({"upsampler": "carafe", "model": ["none", "segformer-b1"], "image": "256x128"})
    cases = plan.cases(sweep, NAMES, "cpu")
    assert {(case.model, case.batch, case.channels, case.height, case.width) for case in cases} == {
        ("", 1, 256, 120, 120),
        ("segformer-b1", 1, 3, 256, 128),
    }
    on_gpu = plan.cases(plan.parse({"upsampler": "carafe", "model": "segformer-b1"}), NAMES, "cuda:0")
    assert {case.batch for case in on_gpu} == {4, 16}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"model": "segformer-b1", "scale": 4}, "scale is 4 in model segformer-b1, whose stages are x2"),
        ({"image": "512"}, "image is '512'; expected HxW"),
        ({"image": "0x512"}, "image is '0x512'; expected HxW"),
        ({"model": ""}, "model is ''; expected a string"),
    ],
)
def test_a_plan_refuses_what_no_model_can_take(keys, reason):
    with pytest.raises(PlanError, match=reason):
        plan.cases(plan.parse({"upsampler": "carafe", **keys}), NAMES, "cpu")
