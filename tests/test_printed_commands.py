"""What the pages print can be typed: snippets and commands are run as printed, at small sizes.

Commands run in this process, in the order and in the folder of their page. What a measuring process would answer, train
or count is answered, trained or counted here; a device with a clock of its own times.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import typer
from fake_process import FakeProcess
from sample_run import sample_run

import upsamplers
from upsampler_bench import cli, device, storage
from upsampler_bench.compare import process as comparing
from upsampler_bench.quality import scheduler as training
from upsampler_bench.quality.training import fashion, train
from upsampler_bench.runner import isolated, operators, pool, worker
from upsampler_bench.runner.protocol import Message, read_message, write_message
from upsampler_bench.testing import operator_benchmark
from upsamplers import registry

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# What cannot run here is understood only, by how it begins.
ONLY_PARSED = {
    "run --plan sweep --devices 0,1,2,3": "needs four GPUs",
    "capabilities --devices all": "needs a GPU",
    "paper --devices 0,1": "needs two GPUs",
    "submit": "needs Slurm",
    "status": "needs a job of Slurm",
    "collect": "needs a job of Slurm",
    "compare --base origin/main": "needs a remote repository, and builds two revisions",
    'compare /shared/nights/last "$night"': "compares what Slurm collected",
}
ONLY_COMPILED = {
    "from ultralytics import YOLO": "needs ultralytics",
    'up = upsamplers.create("dysample", 256)\ntorch.onnx.export': "takes long; tests of exportable do the same",
}
# Smaller sizes in place of the printed ones, and a CPU in place of a GPU.
SMALLER = {
    "--device cuda": "--device cpu",
    ".cuda()": "",
    "24GiB --channels 384": "64MiB --channels 384",
    "(256, 120, 120)": "(8, 6, 5)",
    "256)": "8)",
    "256,": "8,",
    "(1, 256": "(1, 8",
    " -f html -f png": "",
}
# What is added to a command that names no operators, and to any.
OF_ALL = {command: ["-u", "nearest"] for command in ("run", "quality", "capacity", "baseline")}
ADDED = {command: ["-f", "markdown"] for command in ("run", "profile", "paper", "report", "quality")}
ADDED["quality"] += ["--steps", "2", "--size", "16", "--seeds", "1"]


def blocks(page, language):
    """The code blocks of a page in one language, in order."""
    return [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def lines(page, start):
    """The commands of a page's bash blocks that begin so, without that and without what a comment says."""
    found = [line for block in blocks(page, "bash") for line in block.splitlines() if line.startswith(start)]
    return list(dict.fromkeys(line.partition(" #")[0].strip().removeprefix(start) for line in found))


def pages_with(find, *what):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if find(page, *what)]


def snippet(page, word):
    """The snippet of a page in which a word is."""
    return next(code for code in blocks(ROOT / page, "python") if word in code)


def smaller(text):
    for printed, small in SMALLER.items():
        text = text.replace(printed, small)
    return text


class Here(FakeProcess):
    """A measuring process that answers questions, and trains, in this one; it times on a fake device."""

    def __init__(self, request, *others, **keys):
        super().__init__(request, **keys)
        if request.question or request.measurer:
            sent = [Message("start")]
            operators.load(request.plugins, request.specs)
            operators.add_variants(case.upsampler for case in request.cases)
            if request.question:
                worker._answer(request, sent.append)
            else:
                sent.append(next(self._messages))  # the environment
                worker._function(request.measurer)(request, sent.append)
                sent.append(Message("end"))
            self._messages = (read_message(write_message(message, "token"), "token") for message in sent)

    def read(self):
        message = super().read()
        if message is None or message.environment is None:
            return message
        # So that a run can be continued on "this machine".
        return replace(message, environment=replace(message.environment, device_name=device.label("cpu")))


class Net(torch.nn.Module):
    """A model as the pages suppose: what its decode_head makes is resized by a factor of four, or by an operator."""

    def __init__(self):
        super().__init__()
        self.backbone, self.decode_head = torch.nn.Conv2d(3, 8, 4, 4), Head()
        self.neck = upsamplers.create("dysample", 8)

    def forward(self, image):
        return self.decode_head(self.neck(self.backbone(image)))


class Head(torch.nn.Module):
    def forward(self, x):
        return F.interpolate(x, scale_factor=4, mode="bilinear")


@pytest.fixture
def folder(tmp_path, monkeypatch, registry_restored):
    """The folder that a user stands in, with the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    for module in (pool, isolated, comparing.runner):
        monkeypatch.setattr(module, "Process", Here)
    monkeypatch.setattr(training, "_workers", lambda: 1)
    for size in ("TEST_SCENES", "TEST_IMAGES"):
        monkeypatch.setattr(fashion, size, 4)
    monkeypatch.setattr(train, "TEST_SCENES", 4)
    for name in ("my_file.py", "my_operator.py"):
        (tmp_path / name).write_text(snippet("README.md", "class Mine"))
    (tmp_path / "mine.csv").write_text(blocks(ROOT / "README.md", "csv")[0])
    (tmp_path / "my_model.py").write_text(snippet("docs/models.md", "def build"))
    torch.save(upsamplers.create("dysample", 32).state_dict(), tmp_path / "my_checkpoint.pth")
    published = upsamplers.create("dysample+", 8, scope_bias=True).state_dict()
    torch.save({f"neck.upsample_modules.0.{key}": value for key, value in published.items()}, tmp_path / "detector.pth")
    for name in ("old", "new", "runs/my-run"):
        storage.save(sample_run(), tmp_path / name)
    (tmp_path / "reports" / "baselines").mkdir(parents=True)
    shutil.copy(ROOT / "reports" / "baselines" / "cpu.json", tmp_path / "reports" / "baselines")
    return tmp_path


def run(arguments, monkeypatch):
    """Runs a command line: its exit code."""
    monkeypatch.setattr(sys, "argv", ["upsampler-bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def parsed(arguments):
    """The command's parameters, as typer reads them."""
    context = typer.main.get_command(cli.app).make_context("upsampler-bench", [*arguments], resilient_parsing=False)
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            break
    return context.params


def at_small_sizes(line):
    """The arguments of a printed command line, with what is added to it."""
    arguments = shlex.split(smaller(line))
    command = arguments[0]
    added = ADDED.get(command, [])
    if not {"-u", "--upsampler"} & set(arguments):
        added = [*added, *OF_ALL.get(command, [])]
    return [*arguments, *added]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(lines, "upsampler-bench "))
def test_the_commands_of_a_page_run_as_printed(page, folder, monkeypatch, capsys):
    for line in lines(page, "upsampler-bench "):
        if any(line.startswith(start) for start in ONLY_PARSED):
            parsed(shlex.split(line))
            continue
        code = run(at_small_sizes(line), monkeypatch)
        # Nothing may pass under the limits of a recommendation.
        assert code in ((0, 1) if line.startswith("recommend") else (0,)), f"{line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", pages_with(lines, "make "))
def test_the_targets_of_a_page_run_commands_that_run(page, folder, monkeypatch, capsys):
    for name in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES"):  # of the `make test` that runs this
        monkeypatch.delenv(name, raising=False)
    for line in lines(page, "make "):
        assert line.split()[0] in TARGETS
        recipe = subprocess.run(
            ["make", "-n", "-o", ".venv/.installed", "-f", ROOT / "Makefile", *shlex.split(line)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for command in re.findall(r"^\.venv/bin/upsampler-bench (.*)", recipe, re.MULTILINE):
            assert run(at_small_sizes(command), monkeypatch) == 0, f"{command}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", pages_with(blocks, "python"))
def test_the_snippets_of_a_page_run_as_printed(page, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    known = dict(registry._specs)
    for code in blocks(page, "python"):
        compiled = compile(smaller(code), str(page), "exec")
        if any(code.startswith(start) for start in ONLY_COMPILED):
            continue
        model, image = Net().eval(), torch.rand(1, 3, 32, 32)
        names = {
            "__name__": "__main__",
            "torch": torch,
            "upsamplers": upsamplers,
            "model": model,
            "image": image,
            "images": image,
        }
        names["x"] = torch.rand(1, 8, 6, 5)
        monkeypatch.setattr(registry, "_specs", dict(known))
        exec(compiled, names)
        if build := names.get("build"):
            assert (
                build(lambda channels, guide_channels: upsamplers.create("dysample", channels))(image).isfinite().all()
            )
        if test := names.get("test_mine"):
            test(operator_benchmark.case_of)  # in place of the fixture, which would time it


def test_what_is_only_parsed_is_still_printed():
    printed = [line for page in PAGES for line in lines(page, "upsampler-bench ")]
    assert all(any(line.startswith(start) for line in printed) for start in ONLY_PARSED)
    snippets = [code for page in PAGES for code in blocks(page, "python")]
    assert all(any(code.startswith(start) for code in snippets) for start in ONLY_COMPILED)
    assert len(printed) > 15
    assert len(snippets) > 5


@pytest.mark.parametrize("line", ["run --shapes 1x2x3", "runs", "compare --base", "baseline chek"])
def test_a_command_with_a_mistake_would_be_found(line):
    with pytest.raises(Exception, match=r"No such|requires an argument"):
        parsed(line.split())
