"""`upsampler-bench capacity`: the counted bytes equal a real step's, and the largest size fits."""

import json
from dataclasses import replace

import pytest
import torch
from sample_workload import every_operator

from upsampler_bench import capacity, device
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.commands.capacity import as_data, text
from upsampler_bench.device import Peak
from upsampler_bench.device.tensor_memory import LiveStorages
from upsampler_bench.runner import operators

MIB = 2**20
pytestmark = pytest.mark.usefixtures("registry_restored")


@pytest.fixture
def cpu():
    return device.create("cpu", Settings(cache="warm"))


def case_of(name, mode=INFERENCE, side=17, **changes):
    return Case(name, mode, 1, 64, side, side, **changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "changes"),
    [
        (INFERENCE, {}),
        pytest.param(TRAIN, {}, marks=pytest.mark.exhaustive),
        (TRAIN, {"batch": 2, "dtype": "bfloat16"}),
    ],
    ids=["inference", "train", "train-bfloat16"],
)
@every_operator
def test_the_counted_bytes_equal_those_of_a_real_step(name, mode, changes, cpu):
    case = replace(case_of(name, mode), **changes)
    assert capacity.count(case) == capacity.measure(case, cpu)


@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
@pytest.mark.parametrize(("name", "dtype"), [("carafe", "float16"), ("carafe", "float64"), ("dysample", "float64")])
def test_other_dtypes_are_counted_alike(name, dtype, mode, cpu):
    case = case_of(name, mode, dtype=dtype)
    assert capacity.count(case) == capacity.measure(case, cpu)


@pytest.mark.parametrize(("name", "mode"), [("bilinear", INFERENCE), ("carafe", TRAIN), ("sapa-b", TRAIN)])
def test_the_size_found_fits_in_a_real_step_and_the_next_does_not(name, mode, cpu):
    available = 16 * MIB
    found = capacity.largest(case_of(name, mode), available, None)
    at, above = (
        capacity.measure(replace(found.case, height=side, width=side), cpu)
        for side in (found.case.height, found.case.height + 1)
    )
    assert at == found.need
    assert at.total <= available < above.total


@pytest.mark.parametrize(
    ("name", "factor", "above"),
    [("bilinear", 4, 7), ("jbu-stack[radius=1,key_channels=4]", 4, 8), ("carafe[step=2]", 2, 4), ("dlu", 2, 4)],
)
def test_the_factor_found_fits_in_a_real_step_and_the_operators_next_does_not(name, factor, above, cpu):
    operators.add_variants([name])
    case = Case(name, TRAIN, 1, 16, 6, 6)
    available = capacity.measure(replace(case, scale=above), cpu).total - 1
    found = capacity.largest(case, available, None, capacity.SCALE)
    assert found.case == replace(case, scale=factor)
    assert found.need == capacity.measure(found.case, cpu)


def test_every_factor_may_fit_and_none(cpu):
    found = capacity.largest(Case("nearest", channels=1, height=1, width=1), MIB, cpu, capacity.SCALE)
    assert (found.case.scale, found.confirmation.case.scale) == (128, 128)
    assert "×2 needs" in capacity.largest(Case("nearest"), MIB, None, capacity.SCALE).reason
    operators.add_variants(["carafe[step=3]"])
    assert capacity.largest(Case("carafe[step=3]"), MIB, None, capacity.SCALE).reason == "scale 2 is no power of step=3"


def test_strips_have_the_rows_that_an_operator_needs(monkeypatch):
    monkeypatch.setattr(capacity, "LINEAR_FROM", 1)
    operators.add_variants(["naf[embedding_channels=16]"])
    case = Case("naf[embedding_channels=16]", INFERENCE, 1, 8, 40, 28)
    need, method = capacity.needed(case)
    assert (method, need.inputs) == (capacity.EXTRAPOLATED, capacity.count(case).inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"), [("dysample", TRAIN), ("dlu", INFERENCE), ("indexnet", INFERENCE), ("deconv", TRAIN)]
)
def test_large_sizes_on_a_cpu_are_extrapolated_from_strips_to_the_byte(name, mode):
    case = Case(name, mode, height=260, width=260)
    need, method = capacity.needed(case)
    assert method == capacity.EXTRAPOLATED
    assert need == capacity.count(case)


def test_a_cpu_confirms_at_a_size_of_its_own(cpu):
    found = capacity.largest(Case("dysample"), 200 * MIB, cpu)
    assert found.confirmation.measured == found.confirmation.predicted
    assert found.confirmation.case.height < found.case.height


class Greedy:
    """A GPU whose libraries take some memory of their own, or which has none."""

    kind = "cuda"

    def __init__(self, more):
        self.more = more

    def release(self):
        pass

    def peak(self, step):
        if self.more is None:
            raise MemoryError
        with LiveStorages() as storages:
            step(storages.mark)
        return Peak(storages.peak + self.more, 0, 0, "fake")


def test_a_gpu_that_takes_more_lowers_the_size_to_one_that_fits():
    counted = capacity.largest(case_of("bilinear"), 8 * MIB, None)
    found = capacity.largest(case_of("bilinear"), 8 * MIB, Greedy(MIB // 2))
    assert found.case.height < counted.case.height
    assert found.confirmation.case == found.case
    assert found.need.total < found.confirmation.measured <= 8 * MIB


def test_a_gpu_that_takes_more_lowers_the_factor_to_one_that_fits():
    case = Case("bilinear", INFERENCE, 1, 16, 8, 8)
    available = capacity.count(replace(case, scale=8)).total
    found = capacity.largest(case, available, Greedy(1), capacity.SCALE)
    assert (found.case.scale, found.confirmation.case) == (7, found.case)


@pytest.mark.slow
def test_a_real_step_on_a_cpu_is_not_smaller_than_an_operator_takes(cpu):
    found = capacity.largest(Case("naf", channels=768, scale=16), 8 * 2**30, cpu)
    assert found.need
    assert found.confirmation.case.height == 9
    assert found.confirmation.measured == found.confirmation.predicted


def test_a_gpu_that_is_too_small_confirms_nothing():
    found = capacity.largest(case_of("bilinear"), 8 * MIB, Greedy(None))
    assert found.need
    assert found.confirmation.reason == "out of memory"


def test_an_operator_that_refuses_or_does_not_fit_gets_a_reason():
    assert "6 channels are not divisible by 4" in capacity.largest(Case("dysample", channels=6), MIB, None).reason
    assert "needs" in capacity.largest(Case("pixel-shuffle"), MIB, None).reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_sizes_are_counted_for_a_gpu_that_is_not_present():
    assert capacity.resolve("cuda") == ("cuda:0", False)


@pytest.mark.slow
def test_the_command_prints_one_row_an_operator(invoke):
    code, out, err = invoke("capacity", "--memory", "16MiB", "-u", "nearest", "-u", "carafe", "--device", "cpu")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("nearest", "carafe"))}
    assert (code, err) == (0, "")
    assert [rows["nearest"][0], rows["nearest"][3]] == ["57", "40"]
    assert "measured bytes equal the counted" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.slow
def test_json_and_exit_code_1_where_nothing_fits(invoke):
    code, out, _ = invoke("capacity", "--memory", "1MiB", "-u", "pixel-shuffle", "--device", "cpu", "--json")
    forward, step = json.loads(out)
    assert (code, forward["side"], forward["mode"], step["mode"]) == (1, None, INFERENCE, TRAIN)
    assert forward["reason"].startswith("1×1 needs ")
    assert forward["confirmed"] is None


def test_a_factor_is_printed_and_stored_with_the_side_that_is_kept(cpu):
    case = Case("bilinear", INFERENCE, 1, 16, 8, 8)
    found = capacity.largest(case, 2**18, cpu, capacity.SCALE)
    lines = text((found, replace(found, case=replace(case, mode=TRAIN), need=None)), capacity.SCALE, 2**18).splitlines()
    assert lines[0] == "Largest factor that fits in 256 KiB: 1×16×8×8, float32, contiguous, cpu"
    assert "Factors that are tried: 2, 4, 7, 8, 14, 16, 28, 32, 56, 64, 112, 128." in lines
    assert lines[3].split() == ["bilinear", "×7", "200", "KiB", "–"]
    assert "Confirmed by 2 real steps at ×7: measured bytes equal the counted." in lines
    stored = as_data(found, capacity.SCALE, 2**18)
    assert (stored["side"], stored["scale"], stored["confirmed"]["scale"]) == (8, 7, 7)
    assert stored["total"] == stored["inputs"] + stored["peak"] <= 2**18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--memory", "1GiB", "--side", "28", "--scale", "4"), "the factor is searched; leave out --scale"),
        (("--memory", "much"), "--memory is 'much'; expected a number above 0 with its unit, such as 200MiB"),
        (("--memory", "1GiB", "-u", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("--memory", "1GiB", "--dtype", "float8"), "dtype is 'float8'"),
        (("--memory", "1GiB", "--device", "tpu"), "no device 'tpu'"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(invoke, arguments, message):
    code, _, err = invoke("capacity", *arguments)
    assert (code, err.count("error: ")) == (2, 1)
    assert message in " ".join(err.split())
