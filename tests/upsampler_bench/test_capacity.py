"""`upsampler-bench capacity`: the counted bytes equal a real step's, and the largest size fits."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from sample_choice import measured_run

from upsampler_bench import capacity, device, storage
from upsampler_bench.case import INFERENCE, TRAIN, Case, Settings
from upsampler_bench.commands.capacity import text
from upsampler_bench.device import Peak
from upsampler_bench.device.tensor_memory import LiveStorages
from upsampler_bench.errors import DeviceError
from upsampler_bench.runner import operators

MIB = 2**20
NAMES = operators.names("cpu")
pytestmark = pytest.mark.usefixtures("registry_restored")


@pytest.fixture
def cpu():
    return device.create("cpu", Settings(cache="warm"))


def case_of(name, mode=INFERENCE, side=17, **changes):
    return Case(name, mode, 1, 64, side, side, **changes)


@pytest.mark.parametrize("mode", [INFERENCE, TRAIN])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", [{}, {"batch": 2, "dtype": "bfloat16"}], ids=["float32", "bfloat16"])
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
        capacity.measure(replace(found.case, height=side, width=side), cpu) for side in (found.side, found.side + 1)
    )
    assert at == found.need
    assert at.total <= available < above.total


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
    assert found.confirmation.side < found.side


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
    assert found.side < counted.side
    assert found.confirmation.side == found.side
    assert found.need.total < found.confirmation.measured <= 8 * MIB


def test_a_gpu_that_is_too_small_confirms_nothing():
    found = capacity.largest(case_of("bilinear"), 8 * MIB, Greedy(None))
    assert found.side
    assert found.confirmation.reason == "out of memory"


def test_an_operator_that_refuses_or_does_not_fit_gets_a_reason():
    assert "6 channels are not divisible by 4" in capacity.largest(Case("dysample", channels=6), MIB, None).reason
    assert "needs" in capacity.largest(Case("pixel-shuffle"), MIB, None).reason


def test_sizes_are_counted_for_a_gpu_that_is_not_present():
    if not torch.cuda.is_available():
        assert capacity.resolve("cuda") == ("cuda:0", False)
    with pytest.raises(DeviceError):
        capacity.resolve("tpu")


def test_the_command_prints_one_row_an_operator(invoke):
    code, out, err = invoke("capacity", "--memory", "16MiB", "-u", "nearest", "-u", "carafe", "--device", "cpu")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("nearest", "carafe"))}
    assert (code, err) == (0, "")
    assert [rows["nearest"][0], rows["nearest"][3]] == ["57", "40"]
    assert "measured bytes equal the counted" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_the_command_prints_json(invoke):
    arguments = ("--memory", "16MiB", "-u", "nearest", "--device", "cpu", "--no-confirm", "--json")
    code, out, _ = invoke("capacity", *arguments)
    forward, step = json.loads(out)
    assert (code, forward["side"], forward["mode"], step["mode"]) == (0, 57, INFERENCE, TRAIN)
    assert forward["total"] == forward["inputs"] + forward["peak"] <= 16 * MIB
    assert forward["confirmed"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--memory", "much"), "--memory is 'much'; expected a number above 0 with its unit, such as 200MiB"),
        (("--memory", "1GiB", "-u", "dysampel"), "no upsampler 'dysampel'; did you mean 'dysample'?"),
        (("--memory", "1GiB", "--dtype", "float8"), "dtype is 'float8'"),
        (("--memory", "1GiB", "--device", "tpu"), "no device 'tpu'"),
        (("--memory", "1GiB", "--from", "nowhere"), "no stored run at nowhere"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(invoke, arguments, message):
    code, _, err = invoke("capacity", *arguments)
    assert (code, err.count("error: ")) == (2, 1)
    assert message in " ".join(err.split())


def test_exit_code_1_where_nothing_fits(invoke):
    code, out, _ = invoke("capacity", "--memory", "1MiB", "-u", "pixel-shuffle", "--device", "cpu")
    assert code == 1
    assert "pixel-shuffle, inference: " in out


def test_a_stored_run_on_two_backends_is_estimated_on_each():
    run = measured_run()
    triton = tuple(replace(one, case=one.case.on("triton")) for one in run.measurements)
    printed = text(capacity.estimates(replace(run, measurements=(*run.measurements, *triton)), 2**30), 2**30)
    assert {"nearest · torch", "nearest · triton"} <= {" ".join(line.split()[:3]) for line in printed.splitlines()}


@pytest.mark.slow
def test_an_estimate_from_a_stored_run_needs_no_torch(tmp_path):
    storage.save(measured_run(), tmp_path / "here")
    code = (
        "import sys\nfrom upsampler_bench import cli\n"
        "sys.argv = ['upsampler-bench', 'capacity', '--memory', '1GiB', '--from', 'here', '-u', 'nearest']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'upsamplers', 'pandas', 'numpy'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert "Estimated from the stored peak" in ran.stdout
    forward, _ = (one for one in capacity.estimates(measured_run(), 2**30) if one.case.upsampler == "nearest")
    assert abs(forward.side - capacity.largest(Case("nearest"), 2**30, None).side) <= 1
