"""baseline check and baseline update: what they print, write and end with."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from upsampler_bench.baseline import baseline_file, recording
from upsampler_bench.baseline.baseline_file import Baseline, OperatorBaseline
from upsampler_bench.commands import baseline as command_line
from upsampler_bench.errors import BenchError
from upsampler_bench.runner import isolated, operators

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).parents[3] / baseline_file.FILE
IMPORTS = "import torch, torch.nn.functional as F, upsamplers\nfrom upsamplers import Upsampler\n"
OPERATOR = """
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
NOT_FINITE = "return torch.full((1, 64, 64, 64), float('nan')) * self.project(x).mean()"
TORCH = torch.__version__.partition("+")[0]


@pytest.fixture
def command(registry_restored, monkeypatch, tmp_path):
    """Runs a baseline command on operators of a plug-in with these bodies: the exit code, and what it printed."""
    from upsamplers import registry

    monkeypatch.chdir(tmp_path)
    registered = dict(registry._specs)

    def run(name, *arguments, **bodies):
        registry._specs.clear()
        registry._specs.update(registered)
        source = [OPERATOR.format(name=own, number=at, body=body) for at, (own, body) in enumerate(bodies.items())]
        # A file of another name each time, since a file is imported once per process.
        plugin = tmp_path / f"plugin_{len(list(tmp_path.glob('plugin_*')))}.py"
        plugin.write_text(IMPORTS + "".join(source))
        options = ("--plugin", str(plugin)) if bodies else ()
        result = CliRunner().invoke(command_line.app, [name, "--file", "base.json", *options, *arguments])
        if isinstance(result.exception, BenchError):
            return 2, str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def in_this_process(monkeypatch):
    """Records here, for what does not depend on where: two processes a command take seconds."""

    def ask(question, cases, kind, lost, *, plugins, **_):
        operators.load(plugins)
        module, _, function = question.partition(":")
        return [getattr(import_module(module), function)(case) for case in cases]

    monkeypatch.setattr(isolated, "ask", ask)


@pytest.fixture
def stored(tmp_path):
    """A small baseline file of another condition."""
    path = tmp_path / "base.json"
    signature = {"mean": 0.0, "rms": 2.0}
    operator = OperatorBaseline({"flops_mac": 100}, signature, signature, {"aten.add.Tensor": 2})
    baseline_file.save(Baseline("shape", "2.9.0", {"carafe": operator}), path)
    return path


def test_check_after_update_is_clean_and_another_process_writes_the_same_bytes(command, tmp_path):
    assert command("update", "-u", "own", "-u", "dysample", own=PLAIN)[0] == 0
    assert command("check", "-u", "own", "-u", "dysample", own=PLAIN) == (0, "2 operators match base.json\n")
    before = (tmp_path / "base.json").read_bytes()
    (tmp_path / "base.json").unlink()
    command("update", "-u", "own", "-u", "dysample", own=PLAIN)
    assert (tmp_path / "base.json").read_bytes() == before


@pytest.mark.usefixtures("in_this_process")
def test_an_update_without_a_change_keeps_every_byte(command, tmp_path):
    command("update", "-u", "own", "-u", "dysample", own=PLAIN)
    before = (tmp_path / "base.json").read_bytes()
    assert "->" not in command("update", "-u", "own", "-u", "dysample", own=PLAIN)[1]
    assert (tmp_path / "base.json").read_bytes() == before


@pytest.mark.parametrize(
    ("body", "message", "exit_code"),
    [
        (TWICE, "flops_mac          1,048,576 -> 2,", 1),
        ("kept = x + 1\n        " + PLAIN, "inference_memory   1,310,720 -> 1,572,864 (+20.0 %) worse", 1),
        ("x = x.view_as(x)\n        " + PLAIN, "aten.view_as.default 0 -> 1 changed", 1),
        (PLAIN.replace("return ", "return 1.01 * "), "wrong", 4),
        (PLAIN.replace("x)", "x.flip(3))"), "wrong", 4),
        (NOT_FINITE, "failed: wrong output: not fin", 4),
        ("raise RuntimeError('out of order')", "failed: RuntimeError: out of order", 1),
    ],
)
@pytest.mark.usefixtures("in_this_process")
def test_a_changed_operator_is_named_with_what_changed(command, body, message, exit_code):
    command("update", "-u", "own", "-u", "nearest", own=PLAIN)
    checked, printed = command("check", "-u", "own", "-u", "nearest", own=body)
    assert checked == exit_code, printed
    assert "own\n" in printed
    assert "nearest" not in printed.partition("if this is intended")[0]
    assert message in printed
    assert "1 of 2 operators changed since base.json" in " ".join(printed.split())
    fails = "failed: " in message
    assert ("baseline update -u own -u nearest" in " ".join(printed.split())) != fails
    assert max(len(line) for line in printed.splitlines() if "/" not in line) <= 80
    # A failure is not recorded, so that no check passes on it.
    updated, printed = command("update", "-u", "own", own=body)
    assert updated == (exit_code if fails else 0)
    assert ("own was not recorded: " in printed) == fails
    assert command("check", "-u", "own", "-u", "nearest", own=body)[0] == updated


@pytest.mark.usefixtures("in_this_process")
def test_added_and_removed_operators_are_listed_and_do_not_fail(command):
    command("update", "-u", "own", own=PLAIN, other=PLAIN)
    assert command("check", "-u", "o*", own=PLAIN, other=PLAIN) == (
        0,
        "other\n  added\n1 operator matches base.json; 1 added or removed\n",
    )
    exit_code, printed = command("check", "-u", "other", "-u", "own", own=PLAIN, other="raise ValueError('odd')")
    assert exit_code == 0
    assert "other\n  added, but failed: ValueError: odd" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "base.json has none of the operators here; it has mine: name what registers them with --plugin FILE.py"),
        (("-u", "carafe"), "record them with 'upsampler-bench baseline update -u carafe --file base.json'"),
    ],
)
def test_a_check_that_has_nothing_to_compare_measures_nothing(command, tmp_path, arguments, message):
    condition, seed = recording.CASE.condition, recording.SETTINGS.seed
    baseline_file.save(Baseline(condition, "2.9.0", {"mine": OperatorBaseline()}, seed), tmp_path / "base.json")
    exit_code, printed = command("check", *arguments)
    assert exit_code == 2
    assert message in printed


@pytest.mark.usefixtures("in_this_process")
def test_an_update_of_some_operators_keeps_the_others(command, tmp_path):
    command("update", "-u", "own", "-u", "nearest", own=PLAIN)
    command("update", "-u", "own", own=TWICE)
    recorded = baseline_file.load(tmp_path / "base.json").operators
    assert list(recorded) == ["nearest", "own"]
    assert recorded["own"].counts["flops_mac"] >= 2 * 1048576


@pytest.mark.usefixtures("in_this_process")
def test_some_operators_are_not_updated_with_another_torch(command, tmp_path):
    command("update", "-u", "nearest", "-u", "bilinear")
    path = tmp_path / "base.json"
    path.write_text(path.read_text().replace(TORCH, "1.0"))
    exit_code, printed = command("check", "-u", "nearest")
    assert exit_code == 0
    assert " ".join(printed.split()) == (
        f"operations were recorded with torch 1.0 and are not compared with those of torch {TORCH} "
        "1 operator matches base.json"
    )
    assert "update all, without -u" in command("update", "-u", "nearest")[1]


@pytest.mark.parametrize("text", ["", "<<<<<<< ours", "[]", "{}", '{"schema": 99}', '{"schema": 1, "operators": {}}'])
@pytest.mark.parametrize("name", ["check", "update"])
def test_a_file_that_is_not_a_baseline_is_misuse_and_stays(command, tmp_path, text, name):
    (tmp_path / "base.json").write_text(text)
    exit_code, message = command(name, "-u", "nearest")
    assert exit_code == 2
    assert "base.json" in message
    assert baseline_file.COMMAND in message
    assert (tmp_path / "base.json").read_text() == text


@pytest.mark.parametrize(
    "corrupt",
    [
        {"counts": {"flops_mac": "many"}}, {"output": {"rms": None}}, {"operations": 3}, 7,
    ],
)  # fmt: skip
def test_a_corrupt_operator_is_misuse(command, stored, corrupt):
    data = json.loads(stored.read_text())
    data["operators"]["carafe"] = corrupt if corrupt == 7 else {**data["operators"]["carafe"], **corrupt}
    stored.write_text(json.dumps(data))
    exit_code, message = command("check", "-u", "nearest")
    assert exit_code == 2
    assert "base.json is incomplete or corrupt: " in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_misuse(command, stored, value):
    data = json.loads(stored.read_text())
    data["operators"]["carafe"]["output"]["rms"] = value
    stored.write_text(json.dumps(data))
    exit_code, message = command("check", "-u", "nearest")
    assert exit_code == 2
    assert "cannot read base.json as a baseline: JSON is malformed" in message


def test_a_missing_file_is_misuse_and_the_message_names_the_command(command):
    expected = f"no baseline at base.json; create it with '{baseline_file.COMMAND} --file base.json'"
    assert command("check") == (2, expected)
    expected = (
        f"no baseline at base.json; create it with '{baseline_file.COMMAND} -u mine --plugin my.py --file base.json'"
    )
    assert command("check", "-u", "mine", "--plugin", "my.py") == (2, expected)
    assert command("update", "-u", "nearset")[0] == 2


def test_a_baseline_of_another_condition_is_misuse(command, stored):
    assert "base.json was recorded at shape, seed 0; expected 1x64x32x32/x2" in command("check")[1]


def test_a_recording_leaves_the_threads_and_the_random_numbers_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    recording.record(recording.CASE.of("nearest"))
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.set_num_threads(before)


def test_the_committed_baseline_has_every_operator_of_the_package():
    from upsamplers import registry

    committed = baseline_file.load(COMMITTED)
    own = {name for name in operators.names("cpu") if registry.get(name).cls.__module__.startswith("upsamplers.")}
    assert set(committed.operators) == own
    assert not [name for name, operator in committed.operators.items() if operator.failed]
