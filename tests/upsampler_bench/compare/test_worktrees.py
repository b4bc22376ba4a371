"""Revisions checked out for a comparison: what is refused, which code each side runs, and that nothing stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from upsampler_bench.compare import registered, sides, worktrees
from upsampler_bench.compare.measuring import SideError
from upsampler_bench.errors import PlanError

pytestmark = pytest.mark.slow

PLUGIN = """import torch, upsamplers
upsamplers.register_module({name!r}, lambda channels, scale: torch.nn.Upsample(scale_factor=scale))
"""


def git(place, *arguments):
    who = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=place, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits of a project with an operator of its own, which the second one renames."""
    place = tmp_path / "project"
    place.mkdir()
    git(place, "init", "--quiet", "--initial-branch=main")
    for name in ("first", "second"):
        (place / "mine.py").write_text(PLUGIN.format(name=name))
        git(place, "add", "-A")
        git(place, "commit", "--quiet", "-m", name)
    monkeypatch.chdir(place)
    return place


def both_sides(base, head=None, plugins=("mine.py",), said=None):
    return worktrees.corners(base, head, plugins, (said if said is not None else []).append)


def test_each_side_has_its_own_operators_and_nothing_stays(repository):
    with both_sides("HEAD~1") as (base, head):
        assert "first" in registered.names(base)
        assert "second" in registered.names(head)
        assert "second" not in registered.names(base)
        assert "the working tree" in head.name
        tree = Path(base.path[1])
        assert tree.exists()
    assert not tree.exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


@pytest.mark.parametrize("problem", [KeyboardInterrupt, SideError("no")])
def test_an_interruption_cleans_up_too(repository, problem):
    places = []

    def compare():
        with both_sides("HEAD~1", "HEAD") as (base, head):
            places.extend([Path(base.path[1]), Path(head.path[1])])
            raise problem

    with pytest.raises((KeyboardInterrupt, SideError)):
        compare()
    assert len(places) == 2
    assert not any(one.exists() for one in places)
    assert not list((repository / ".git" / "worktrees").glob("*"))


def test_an_unknown_revision_is_refused_with_what_there_is(repository):
    with pytest.raises(
        PlanError, match="no revision 'mian' in project; expected a commit, tag or branch, such as HEAD~1, main"
    ):
        worktrees.resolve(repository, "mian")
    with pytest.raises(PlanError, match="no revision '--all'"):
        worktrees.resolve(repository, "--all")


def test_a_budget_of_no_operator_is_refused_before_anything_is_measured(repository):
    asked = sides.Asked({}, ("mine.py",), budgeted=("bilinear", "bilinaer"))
    with pytest.raises(PlanError, match="of 'bilinaer', which is not compared here; did you mean 'bilinear'"):
        sides.revisions("HEAD~1", None, asked, str)


def test_outside_a_repository_is_said_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError, match="no git repository"), both_sides("HEAD"):
        pass


def test_code_that_cannot_be_loaded_is_told_with_its_own_words(repository):
    (repository / "mine.py").write_text("raise RuntimeError('broken on purpose')\n")
    with both_sides("HEAD") as (base, head):
        assert "second" in registered.names(base)
        with pytest.raises(SideError, match=r"head \(the working tree\) cannot be loaded: (.|\n)*broken on purpose"):
            registered.names(head)


def test_what_no_commit_holds_is_listed(repository):
    assert worktrees.changed_files(repository) == []
    (repository / "mine.py").write_text("")
    assert worktrees.changed_files(repository) == ["mine.py"]


def test_the_same_dependencies_need_no_environment_of_their_own(repository):
    said = []
    (repository / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\ndependencies = ['torch']\n")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "packaged")
    with both_sides("HEAD", said=said) as (base, _):
        assert base.side.python == sys.executable
    assert said == []


def test_dependencies_that_do_not_install_are_told(repository, monkeypatch, tmp_path):
    monkeypatch.setattr(worktrees, "CACHE", tmp_path / "cache")
    (repository / "pyproject.toml").write_text(
        "[project]\nname = 'p'\nversion = '1'\ndependencies = ['./no-such-folder']\n"
    )
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "broken")
    (repository / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\ndependencies = []\n")
    said = []
    with pytest.raises(SideError, match=r"base does not install: (.|\n)*no-such-folder"), both_sides("HEAD", said=said):
        pass
    assert len(said) == 1
