"""What the pages print can be typed: commands are understood, their plans have cases, snippets are Python."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

import upsamplers
from upsampler_bench import cli, plan

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def blocks(language):
    return [
        pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (kind, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


def lines(start):
    """The commands of all bash blocks that begin so, without what a comment says."""
    found = [line for block in blocks("bash") for line in block.values[0].splitlines() if line.startswith(start)]
    return list(dict.fromkeys(" ".join(shlex.split(line, comments=True)[1:]) for line in found))


def parsed(arguments):
    """The command's parameters, as typer reads them."""
    context = typer.main.get_command(cli.app).make_context("upsampler-bench", [*arguments], resilient_parsing=False)
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            break
    return context.info_name, context.params


@pytest.mark.parametrize("line", lines("upsampler-bench "))
def test_a_printed_command_is_understood_and_its_plan_has_cases(line):
    name, given = parsed(shlex.split(line))
    if name == "run":
        keys = {key: value for key, value in given.items() if key in plan._LISTS and value}
        keys.pop("plugin", None)
        keys["upsampler"] = [one for one in keys.get("upsampler", ["*"]) if one != "mine"] or ["*"]
        planned = plan.parse(plan.read(given["plan"]) | keys)
        assert plan.cases(planned, upsamplers.names(), "cpu")


@pytest.mark.parametrize("line", lines("make "))
def test_a_printed_make_target_exists(line):
    assert line.split()[0] in TARGETS


@pytest.mark.parametrize("code", blocks("python"))
def test_a_printed_snippet_is_python(code):
    ast.parse(code)


def test_there_is_something_printed():
    assert len(lines("upsampler-bench ")) > 15
    assert len(blocks("python")) > 5


@pytest.mark.parametrize("line", ["run --shapes 1x2x3", "runs", "compare --base", "baseline chek"])
def test_a_command_with_a_mistake_would_be_found(line):
    with pytest.raises(Exception, match=r"No such|requires an argument"):
        parsed(line.split())
