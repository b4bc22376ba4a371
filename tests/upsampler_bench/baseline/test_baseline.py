"""What has no noise is held to a committed file: changes are named, and rounding is none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from upsampler_bench.baseline import baseline_file, recording
from upsampler_bench.baseline.baseline_file import Baseline, Change, Exact, diff, settled
from upsampler_bench.baseline.signature import signature
from upsampler_bench.commands import baseline as command_line
from upsampler_bench.errors import BenchError

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).parents[3] / "reports" / "baselines" / "cpu.json"
HEAD = "import torch, torch.nn.functional as F, upsamplers\nfrom upsamplers import Upsampler\n"
OWN = """
@upsamplers.register("{name}")
class Own{number}(Upsampler):
    def __init__(self, channels, *, scale=2):
        super().__init__(channels, scale=scale)
        self.project = torch.nn.Conv2d(channels, channels, 1, groups=4)

    def forward(self, x):
        {body}
"""
PLAIN = "return F.interpolate(self.project(x), scale_factor=self.scale)"
TWICE = PLAIN.replace("self.project(x)", "self.project(x) * 0.5 + self.project(x) * 0.5")
COUNTS = {"flops_mac": 100, "inference_memory": 800}
SIGNED = {"mean": 0.0, "rms": 2.0, "wave_1": 1.0}
ONE = Exact(COUNTS, SIGNED, SIGNED, {"aten.add.Tensor": 2, "aten.cat.default": 1})


@pytest.fixture
def ran(registry_restored, monkeypatch, tmp_path):
    """Runs a baseline command on operators of a plug-in with these bodies: the exit code, and what it printed."""
    from upsamplers import registry

    monkeypatch.chdir(tmp_path)
    plugged = dict(registry._specs)

    def run(command, *arguments, **bodies):
        registry._specs.clear()
        registry._specs.update(plugged)
        operators = [OWN.format(name=name, number=place, body=one) for place, (name, one) in enumerate(bodies.items())]
        # A file of another name each time, since a file is imported once a process.
        plugin = tmp_path / f"plugin_{len(list(tmp_path.glob('plugin_*')))}.py"
        plugin.write_text(HEAD + "".join(operators))
        plugged_in = ("--plugin", str(plugin)) if bodies else ()
        found = CliRunner().invoke(command_line.app, [command, "--file", "base.json", *plugged_in, *arguments])
        if isinstance(found.exception, BenchError):
            return 2, str(found.exception)
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found.exit_code, found.output

    return run


def one_of(operator="carafe", torch_version="2.9.0", **changed):
    return Baseline("shape", torch_version, {operator: replace(ONE, **changed)})


def changes(old, new):
    return [(one.metric, one.verdict) for one in diff(old, new).changes]


def test_check_after_update_is_clean(ran):
    assert ran("update", "-u", "own", "-u", "nearest", own=PLAIN)[0] == 0
    code, said = ran("check", "-u", "own", "-u", "nearest", own=PLAIN)
    assert (code, said) == (0, "2 operators as in base.json\n")


def test_two_updates_write_the_same_bytes(ran, tmp_path):
    ran("update", "-u", "own", "-u", "dysample", own=PLAIN)
    before = (tmp_path / "base.json").read_bytes()
    assert "->" not in ran("update", "-u", "own", "-u", "dysample", own=PLAIN)[1]
    assert (tmp_path / "base.json").read_bytes() == before
    (tmp_path / "base.json").unlink()
    ran("update", "-u", "own", "-u", "dysample", own=PLAIN)
    assert (tmp_path / "base.json").read_bytes() == before


@pytest.mark.parametrize(
    ("body", "said", "code"),
    [
        (TWICE, "flops_mac          1,048,576 -> 2,", 1),
        ("kept = x + 1\n        " + PLAIN, "inference_memory   1,310,720 -> 1,572,864 (+20.0 %) worse", 1),
        ("x = x.view_as(x)\n        " + PLAIN, "of them aten.view_as.default none -> 1 changed", 1),
        (PLAIN.replace("return ", "return 1.01 * "), "wrong", 4),
        (PLAIN.replace("x)", "x.flip(3))"), "wrong", 4),
        (
            "return torch.full((1, 64, 64, 64), float('nan')) * self.project(x).mean()",
            "failed: wrong output: not fin",
            4,
        ),
        ("raise RuntimeError('out of order')", "failed: RuntimeError: out of order", 1),
    ],
)
def test_a_changed_operator_is_named_with_what_changed(ran, body, said, code):
    ran("update", "-u", "own", "-u", "nearest", own=PLAIN)
    found, printed = ran("check", "-u", "own", "-u", "nearest", own=body)
    assert found == code, printed
    assert "own\n" in printed
    assert "nearest" not in printed.partition("if that is wanted")[0]
    assert said in printed
    assert "1 of 2 operators not as in base.json" in printed
    is_broken = "failed: " in said
    assert ("baseline update -u own -u nearest" in " ".join(printed.split())) != is_broken
    assert max(len(line) for line in printed.splitlines() if "/" not in line) <= 80
    # What is broken is not recorded, so that no check passes on it.
    updated, printed = ran("update", "-u", "own", own=body)
    assert updated == (code if is_broken else 0)
    assert ("own keeps what was recorded of it" in printed) == is_broken
    assert ran("check", "-u", "own", "-u", "nearest", own=body)[0] == updated


def test_operators_that_come_and_go_are_told_and_do_not_fail(ran):
    ran("update", "-u", "own", own=PLAIN, other=PLAIN)
    assert ran("check", "-u", "o*", own=PLAIN, other=PLAIN) == (
        0,
        "other\n  added\n1 operator as in base.json; 1 more came or went\n",
    )
    code, said = ran("check", "-u", "other", "-u", "own", own=PLAIN, other="raise ValueError('odd')")
    assert code == 0
    assert "other\n  added, but ValueError: odd" in said
    both = Baseline("shape", "2.9.0", {"carafe": ONE, "gone": ONE})
    assert diff(both, one_of()) == baseline_file.Difference((Change("gone", "", baseline_file.REMOVED),))
    assert diff(both, one_of()).exit_code == 0


def test_an_update_of_some_operators_leaves_the_others(ran, tmp_path):
    ran("update", "-u", "own", "-u", "nearest", own=PLAIN)
    ran("update", "-u", "own", own=TWICE)
    found = baseline_file.load(tmp_path / "base.json").operators
    assert list(found) == ["nearest", "own"]
    assert found["own"].counts["flops_mac"] >= 2 * 1048576


def test_of_another_torch_operations_are_not_compared_and_costs_are(ran):
    fewer = {"aten.add.Tensor": 1}
    found = diff(one_of(), one_of(torch_version="2.10.0", operations=fewer))
    assert not found.changes
    assert found.notes == ("operations are of torch 2.9.0, here is 2.10.0: not compared",)
    assert changes(one_of(), one_of(operations=fewer)) == [
        ("operations", "better"),
        ("of them aten.add.Tensor", "changed"),
        ("of them aten.cat.default", "changed"),
    ]
    more = one_of(torch_version="2.10.0", counts={**COUNTS, "flops_mac": 101})
    assert changes(one_of(), more) == [("flops_mac", "worse")]


def test_a_part_is_not_updated_with_another_torch(ran, tmp_path):
    ran("update", "-u", "nearest", "-u", "bilinear")
    baseline_file = tmp_path / "base.json"
    baseline_file.write_text(baseline_file.read_text().replace(torch.__version__.partition("+")[0], "1.0"))
    assert ran("check", "-u", "nearest") == (
        0,
        f"operations are of torch 1.0, here is {torch.__version__.partition('+')[0]}: not compared\n"
        "1 operator as in base.json\n",
    )
    assert "update all operators, without -u" in ran("update", "-u", "nearest")[1]


def test_rounding_is_no_change_and_does_not_touch_the_file():
    near = one_of(output={**SIGNED, "wave_1": 1.00001})
    assert not diff(one_of(), near).changes
    assert settled(one_of(), near) == one_of()
    far = one_of(gradient={**SIGNED, "wave_1": 1.001})
    assert diff(one_of(), far).exit_code == 4
    assert settled(one_of(), far) == far


def test_a_signature_sees_one_element_in_a_hundred_and_elements_that_changed_places():
    plain = torch.randn(1, 64, 64, 64, generator=torch.Generator().manual_seed(1))
    off = plain.clone()
    off.view(-1)[::100] += 0.01 * torch.randn(len(off.view(-1)[::100]), generator=torch.Generator().manual_seed(2))
    wanted = signature([plain])
    for other in (off, plain.flip(3), plain.transpose(2, 3), plain.roll(1, 1)):
        assert list(baseline_file._signature("", "output", wanted, signature([other])))
    rounded = plain * (1 + 1e-6 * torch.randn(plain.shape, generator=torch.Generator().manual_seed(3)))
    assert not list(baseline_file._signature("", "output", wanted, signature([rounded])))


@pytest.mark.parametrize("text", ["", "<<<<<<< ours", "[]", "{}", '{"schema": 99}', '{"schema": 1, "operators": {}}'])
@pytest.mark.parametrize("command", ["check", "update"])
def test_a_file_that_is_no_baseline_is_misuse_and_stays(ran, tmp_path, text, command):
    (tmp_path / "base.json").write_text(text)
    code, said = ran(command, "-u", "nearest")
    assert code == 2
    assert "base.json" in said
    assert baseline_file.COMMAND in said
    assert (tmp_path / "base.json").read_text() == text


@pytest.mark.parametrize("spoilt", [{"counts": {"flops_mac": "many"}}, {"output": {"rms": None}}, {"operations": 3}, 7])
def test_a_spoilt_operator_is_misuse(ran, tmp_path, spoilt):
    baseline_file.save(one_of(), tmp_path / "base.json")
    data = json.loads((tmp_path / "base.json").read_text())
    data["operators"]["carafe"] = spoilt if spoilt == 7 else {**data["operators"]["carafe"], **spoilt}
    (tmp_path / "base.json").write_text(json.dumps(data))
    code, said = ran("check", "-u", "nearest")
    assert code == 2
    assert "is not a whole baseline" in said


def test_misuse_says_what_to_do(ran, tmp_path):
    assert ran("check") == (2, f"no baseline at base.json; '{baseline_file.COMMAND} --file base.json' makes one")
    baseline_file.save(one_of(), tmp_path / "base.json")
    assert "base.json is of shape, seed 0, here is 1x64x32x32/x2" in ran("check")[1]
    assert ran("update", "-u", "nearset")[0] in (1, 2)


def test_a_recording_leaves_the_threads_and_the_random_numbers_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    recording.record("nearest")
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.set_num_threads(before)


def test_the_committed_baseline_holds_every_operator_here():
    from upsamplers import registry

    committed = baseline_file.load(COMMITTED)
    own = {
        name
        for name in recording.fitting(registry.names())
        if registry.get(name).cls.__module__.startswith("upsamplers.")
    }
    assert set(committed.operators) == own
    assert not [name for name, one in committed.operators.items() if one.failed]
