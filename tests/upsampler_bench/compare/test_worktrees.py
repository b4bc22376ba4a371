"""Revisions checked out for a comparison: what is refused, which code each side runs, and that nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from upsampler_bench.compare import sides, worktrees
from upsampler_bench.compare.process import SideError
from upsampler_bench.errors import PlanError

pytestmark = pytest.mark.slow

PLUGIN = """import torch, upsamplers
upsamplers.register_module({name!r}, lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
"""
COPYING = """import torch, upsamplers
class Mine(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.interpolate({}, scale_factor=2)
upsamplers.register_module("mine", lambda channels, scale: Mine())
"""
PACKAGED = "[project]\nname = 'p'\nversion = '1'\ndependencies = [{}]\n"


def git(folder, *arguments):
    who = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder, name, text):
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", name)


def project(tmp_path, monkeypatch, *plugins):
    """The current folder from here on: a repository with a commit for each of these texts of its plug-in."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in plugins:
        commit(folder, "mine.py", text)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits of a project with an operator of its own, which the second one renames."""
    return project(tmp_path, monkeypatch, *(PLUGIN.format(name=name) for name in ("first", "second")))


def both_sides(base, head=None, say=str):
    return worktrees.sides(base, head, ("mine.py",), say)


def test_each_side_has_its_own_operators_and_the_worktree_is_removed(repository):
    with both_sides("HEAD~1") as (base, head):
        assert "first" in sides.names_of(base)
        assert "second" in sides.names_of(head)
        assert "second" not in sides.names_of(base)
        assert "the working tree" in head.name
        tree = Path(base.path[1])
        assert tree.exists()
    assert not tree.exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


@pytest.mark.parametrize("problem", [KeyboardInterrupt, SideError("no")])
def test_an_interruption_cleans_up_too(repository, problem):
    trees = []

    def compare():
        with both_sides("HEAD~1", "HEAD") as (base, head):
            trees.extend([Path(base.path[1]), Path(head.path[1])])
            raise problem

    with pytest.raises((KeyboardInterrupt, SideError)):
        compare()
    assert len(trees) == 2
    assert not any(tree.exists() for tree in trees)
    assert not list((repository / ".git" / "worktrees").glob("*"))


def test_a_plug_in_that_the_base_does_not_have_is_left_out_of_it(repository):
    for name in ("new.py", "package/ops.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("")
    lines = []
    with worktrees.sides("HEAD", None, ("mine.py", "new.py", "package.ops", "json"), lines.append) as (base, head):
        assert [Path(plugin).name for plugin in base.plugins] == ["mine.py", "json"]
        assert len(head.plugins) == 4
    assert lines[0].endswith("has no new.py, package.ops: what it registers is new")


def test_a_plug_in_is_a_file_of_the_folder_in_which_the_command_runs(repository, monkeypatch):
    (repository / "tools").mkdir()
    monkeypatch.chdir(repository / "tools")
    with worktrees.sides("HEAD", None, ("../mine.py",), print) as (base, head):
        assert [Path(side.plugins[0]).is_file() for side in (base, head)] == [True, True]
        assert base.plugins != head.plugins


def test_a_shallow_clone_is_not_compared_with_itself(repository, tmp_path, monkeypatch):
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    Path("built.txt").write_text("as a CI leaves it")
    with pytest.raises(PlanError, match="is the head itself in this shallow clone"), both_sides("origin/main"):
        pass
    with both_sides("HEAD", "HEAD"):
        pass


def test_an_unknown_revision_is_refused_with_some_that_exist(repository):
    with pytest.raises(PlanError, match=r"no revision 'mian' in project; expected .*, such as HEAD~1, main"):
        worktrees.resolve(repository, "mian")
    with pytest.raises(PlanError, match="no revision '--all'"):
        worktrees.resolve(repository, "--all")


def test_code_that_cannot_be_loaded_is_reported_with_its_error(repository):
    (repository / "mine.py").write_text("raise RuntimeError('broken on purpose')\n")
    with both_sides("HEAD") as (base, head):
        assert "second" in sides.names_of(base)
        with pytest.raises(SideError, match=r"head \(the working tree\) cannot be loaded: (.|\n)*broken on purpose"):
            sides.names_of(head)


def test_uncommitted_files_are_listed(repository):
    assert worktrees.changed_files(repository) == []
    (repository / "mine.py").write_text("")
    assert worktrees.changed_files(repository) == ["mine.py"]


def test_the_same_dependencies_need_no_environment_of_their_own(repository):
    lines = []
    commit(repository, "pyproject.toml", PACKAGED.format("'torch'"))
    with both_sides("HEAD", say=lines.append) as (base, _):
        assert base.code.python == sys.executable
    assert lines == []


def test_dependencies_that_do_not_install_are_reported(repository, monkeypatch, tmp_path):
    monkeypatch.setattr(worktrees, "_cache", lambda: tmp_path / "cache")
    commit(repository, "pyproject.toml", PACKAGED.format("'./no-such-folder'"))
    (repository / "pyproject.toml").write_text(PACKAGED.format(""))
    lines = []
    with pytest.raises(SideError, match=r"does not install(.|\n)*no-such-folder"), both_sides("HEAD", say=lines.append):
        pass
    assert len(lines) == 1


def test_profiles_of_revisions_name_a_planted_copy(tmp_path, monkeypatch):
    project(tmp_path, monkeypatch, COPYING.format("x"), COPYING.format("x.clone()"))
    keys = {"upsampler": ["mine"], "shape": ["4x6x5"], "mode": ["inference"], "device": "cpu"}
    changes = sides.profile_revisions("HEAD~1", None, sides.Options(keys, ("mine.py",)), print)
    (table,) = changes.profiles
    assert [row.name for row in table.rows if row.cells[-1].text != "time"] == ["clone"]
    assert table.rows[0].cells[-1].text == "new"


def test_a_mode_that_is_never_profiled_is_refused(tmp_path, monkeypatch):
    project(tmp_path, monkeypatch, COPYING.format("x"), COPYING.format("x.clone()"))
    keys = {"upsampler": ["mine"], "shape": ["4x6x5"], "mode": ["probe"], "device": "cpu"}
    with pytest.raises(PlanError, match="nothing is profiled in mode probe; expected inference or train"):
        sides.profile_revisions("HEAD~1", None, sides.Options(keys, ("mine.py",)), print)


def test_an_operator_that_cannot_be_profiled_costs_its_own_part(tmp_path, monkeypatch):
    failing = "\nupsamplers.register_module('broken', lambda c, s: torch.nn.Conv2d(c + 1, c, 1))"
    project(tmp_path, monkeypatch, COPYING.format("x") + failing, COPYING.format("x.clone()") + failing)
    keys = {"upsampler": ["broken", "mine"], "shape": ["4x6x5"], "mode": ["inference"], "device": "cpu"}
    said = []
    changes = sides.profile_revisions("HEAD~1", None, sides.Options(keys, ("mine.py",)), said.append)
    assert len(changes.profiles) == 1
    assert sum("broken is not profiled" in line for line in said) == 2
