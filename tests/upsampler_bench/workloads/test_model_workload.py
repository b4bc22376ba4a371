"""Operators measured inside a model: what is built, counted, trained and refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_device import FakeDevice

import upsamplers
from upsampler_bench import metrics, plan
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.device import Cpu
from upsampler_bench.errors import PlanError
from upsampler_bench.metrics import flops, params, time_in_upsamplers, train_memory
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Request
from upsampler_bench.workloads import output_check, workload

TINY = str(Path(__file__).parents[1] / "tiny_model.py")
SETTINGS = Settings(warmup_calls=1, warmup_seconds=0.0)
CASE = Case("carafe", INFERENCE, 2, 3, 24, 20, model=f"{TINY}:build")
NAMES = ("nearest", "bilinear", "carafe", "fade")


def built(case, settings=SETTINGS):
    return workload.build(case, settings, workload.shared_inputs(case, settings))


def parameters(case):
    return params.measure(built(case), Cpu())[1].samples[0]


@pytest.mark.parametrize("name", ["bilinear", "carafe", "fade", "max-unpool"])
@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
def test_any_operator_runs_in_a_users_own_model(name, mode):
    found = built(replace(CASE, upsampler=name, mode=mode))
    assert output_check.why_wrong(found) is None
    assert torch.isfinite(found.step()).all()


def test_a_model_adds_exactly_its_operators_parameters():
    alone = sum(one.numel() for one in upsamplers.create("carafe", 8).parameters())
    assert parameters(CASE) - parameters(CASE.of("bilinear")) == alone


def test_a_model_counts_exactly_what_its_operator_multiplies():
    stage = upsamplers.create("carafe", 8).eval()
    own = flops.counts(stage, (torch.zeros(2, 8, 6, 5),), flops._conventions.ALL).by_convention
    inside = [flops.of(built(CASE.of(name))).by_convention for name in ("carafe", "nearest")]
    assert inside[0]["mac"] - inside[1]["mac"] == own["mac"]
    assert inside[0]["paper"] - inside[1]["paper"] == own["paper"]


def test_what_tools_count_besides_is_told_by_hand():
    case = replace(CASE, upsampler="nearest")
    found = built(case)
    reading = next(one for one in flops.measure(found, Cpu()) if one.metric == "flops_paper")
    biased = 2 * (8 * 12 * 10 + 8 * 6 * 5 + 5 * 12 * 10)
    assert reading.facts["extras"] == biased


def test_a_training_step_learns_and_is_the_same_each_time_it_begins_anew():
    case = replace(CASE, mode=TRAIN)
    losses = [[one.train_step().item() for _ in range(3)] for one in (built(case), built(case))]
    assert losses[0] == losses[1]
    found = built(case)
    before = found.module.up.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    found.train_step()
    assert any(not torch.equal(value, before[name]) for name, value in found.module.up.state_dict().items())


def test_several_outputs_are_each_labelled_at_their_own_size():
    found = built(replace(CASE, mode=TRAIN, model=f"{TINY}:tuples"))
    assert torch.isfinite(found.train_step())
    assert [tuple(one.shape) for one in found.training_step._labels] == [(2, 12, 10), (2, 6, 5)]


def test_one_output_is_labelled_at_the_images_size():
    found = built(replace(CASE, mode=TRAIN))
    found.train_step()
    assert [tuple(one.shape) for one in found.training_step._labels] == [(2, 24, 20)]


def test_training_memory_ends_where_it_began():
    found = built(replace(CASE, mode=TRAIN))
    found.step()
    first, second = (train_memory.measure(found, Cpu())[0].samples for _ in range(2))
    assert first == second
    assert first[0] > 0


def test_the_share_is_what_passes_inside_the_upsamplers():
    class Clock(FakeDevice):
        def moment(self):
            self.now += 1.0
            return self.now

    (reading,) = time_in_upsamplers.measure(built(CASE), Clock())
    # Moments: begin, enter, leave, end; one of three seconds passes inside.
    assert reading.samples == pytest.approx([1 / 3] * len(reading.samples))
    assert len(reading.rounds) >= 6


def test_stages_are_a_model_of_features_and_train_without_parameters_too():
    case = Case("bilinear", TRAIN, 1, 3, 8, 8, model="stages(8x4x4/6+4x8x8)")
    found = built(case)
    assert [tuple(one.shape) for one in found.inputs] == [(1, 8, 4, 4), (1, 6, 8, 8), (1, 4, 8, 8), (1, 4, 16, 16)]
    assert torch.isfinite(found.train_step())
    guided = built(case.of("fade"))
    guided.train_step()
    assert all(one.grad is not None for one in guided.module.parameters())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (f"{TINY}:wrong", "gave int, not an nn.Module"),
        (f"{TINY}:nothing", "wrong output of the model: NoneType; expected scores (2, K, h, w)"),
        (f"{TINY}:eights", "takes images whose sides are whole numbers of times 8, not 24x20"),
    ],
)
def test_what_a_model_gets_wrong_is_its_rows_reason(model, reason):
    case = replace(CASE, model=model)
    messages = []
    request = Request((case,), "cpu", SETTINGS, {case.key: []})
    Group(request, FakeDevice(), messages.append, lambda: False).measure()
    lost = [one.text for one in messages if one.kind in ("failed", "skipped")]
    assert len(lost) == 1
    assert reason in lost[0]


def test_a_model_has_metrics_of_its_own_and_nothing_least():
    inside, alone = metrics.for_case(CASE, ()), metrics.for_case(replace(CASE, model=""), ())
    assert set(inside) - set(alone) == {"time_in_upsamplers"}
    assert set(alone) - set(inside) == {"roofline", "traffic"}


def test_a_plan_measures_in_models_at_an_images_size():
    wanted = plan.parse({"upsampler": "carafe", "model": ["none", "segformer-b1"], "image": "256x128"})
    found = plan.cases(wanted, NAMES, "cpu")
    assert {(one.model, one.batch, one.channels, one.height, one.width) for one in found} == {
        ("", 1, 256, 120, 120),
        ("segformer-b1", 1, 3, 256, 128),
    }
    on_gpu = plan.cases(plan.parse({"upsampler": "carafe", "model": "segformer-b1"}), NAMES, "cuda:0")
    assert {one.batch for one in on_gpu} == {4, 16}


def test_a_plan_lists_the_stages_of_a_decoder():
    wanted = plan.parse({"upsampler": "carafe", "stages": ["256x16x16/64", "128x32x32"]})
    assert {one.model for one in plan.cases(wanted, NAMES, "cpu")} == {"stages(256x16x16/64+128x32x32)"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"model": "segformer-b1", "scale": 4}, "scale is 4 in model segformer-b1, whose stages are x2"),
        ({"image": "512"}, "image is '512'; expected HxW"),
        ({"image": "0x512"}, "image is '0x512'; expected HxW"),
        ({"model": ""}, "model is ''; expected a string"),
    ],
)
def test_a_plan_refuses_what_no_model_can_take(keys, said):
    with pytest.raises(PlanError, match=said.replace("(", r"\(")):
        plan.cases(plan.parse({"upsampler": "carafe", **keys}), NAMES, "cpu")
