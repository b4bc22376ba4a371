"""How two baselines differ, and that rounding is not a difference."""

from dataclasses import replace

import pytest
import torch

from upsampler_bench.baseline.baseline_file import Baseline, OperatorBaseline
from upsampler_bench.baseline.difference import REMOVED, Change, Difference, diff, keep_rounding, signature_change
from upsampler_bench.baseline.signature import signature

COUNTS = {"flops_mac": 100, "inference_memory": 800}
SIGNATURE = {"mean": 0.0, "rms": 2.0, "wave_1": 1.0}
OPERATOR = OperatorBaseline(COUNTS, SIGNATURE, SIGNATURE, {"aten.add.Tensor": 2, "aten.cat.default": 1})


def baseline(torch_version="2.9.0", **changed):
    return Baseline("shape", torch_version, {"carafe": replace(OPERATOR, **changed)})


def changes(old, new):
    return [(change.metric, change.verdict) for change in diff(old, new).changes]


def test_a_removed_operator_is_listed_and_is_not_a_failure():
    difference = diff(Baseline("shape", "2.9.0", {"carafe": OPERATOR, "old": OPERATOR}), baseline())
    assert difference == Difference((Change("old", "", REMOVED),))
    assert not difference.failures


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"counts": {**COUNTS, "flops_mac": 101}}, [("flops_mac", "worse")]),
        ({"counts": {**COUNTS, "flops_mac": 99}}, [("flops_mac", "better")]),
        ({"counts": {"flops_mac": 100}}, [("inference_memory", "changed")]),
        ({"uncounted": "aten.topk"}, [("uncounted", "changed")]),
        ({"failed": "wrong output: not finite"}, [("failed", "wrong")]),
        ({"failed": "RuntimeError: odd"}, [("failed", "worse")]),
        (
            {"operations": {"aten.add.Tensor": 1}},
            [("operations", "better"), ("aten.add.Tensor", "changed"), ("aten.cat.default", "changed")],
        ),
    ],
)
def test_every_change_is_named_with_its_direction(changed, expected):
    assert changes(baseline(), baseline(**changed)) == expected


def test_operations_are_not_compared_across_torch_versions_and_costs_are():
    difference = diff(baseline(), baseline("2.10.0", operations={"aten.add.Tensor": 1}))
    assert not difference.changes
    note = "operations were recorded with torch 2.9.0 and are not compared with those of torch 2.10.0"
    assert difference.notes == (note,)
    assert changes(baseline(), baseline("2.10.0", counts={**COUNTS, "flops_mac": 101})) == [("flops_mac", "worse")]


def test_rounding_is_not_a_change_and_leaves_the_file_as_it_is():
    near = baseline(output={**SIGNATURE, "wave_1": 1.00001})
    assert not diff(baseline(), near).changes
    assert keep_rounding(baseline(), near) == baseline()
    far = baseline(gradient={**SIGNATURE, "wave_1": 1.001})
    assert diff(baseline(), far).is_wrong
    assert keep_rounding(baseline(), far) == far


def test_a_signature_sees_one_element_in_a_hundred_and_elements_that_swapped_places():
    plain = torch.randn(1, 64, 64, 64, generator=torch.Generator().manual_seed(1))
    off = plain.clone()
    off.view(-1)[::100] += 0.01 * torch.randn(len(off.view(-1)[::100]), generator=torch.Generator().manual_seed(2))
    expected = signature([plain])
    for other in (off, plain.flip(3), plain.transpose(2, 3), plain.roll(1, 1)):
        assert signature_change("", "output", expected, signature([other])) is not None
    rounded = plain * (1 + 1e-6 * torch.randn(plain.shape, generator=torch.Generator().manual_seed(3)))
    assert signature_change("", "output", expected, signature([rounded])) is None


@pytest.mark.parametrize("part", ["output", "gradient"])
def test_a_signature_that_a_baseline_lacks_is_a_change(part):
    assert {verdict for _, verdict in changes(baseline(**{part: {}}), baseline())} == {"wrong"}
