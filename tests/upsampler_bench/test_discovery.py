import sys
from pathlib import Path

import pytest

from upsampler_bench import discovery
from upsampler_bench.errors import MissingPackage, PlanError


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "made_up_pets"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("raise RuntimeError('a helper is never listed')")
    (folder / "cat.py").write_text("SOUND = 'miaow'")
    (folder / "dog.py").write_text("import package_that_nobody_has")
    (folder / "plain.py").write_text("import made_up_pets.gone")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return "made_up_pets"


def test_modules_are_listed_by_name_without_helpers_and_without_importing_them(room: str) -> None:
    assert discovery.modules(room) == ("cat", "dog", "plain")
    assert "made_up_pets.cat" not in sys.modules


@pytest.mark.parametrize(
    ("asked", "said"), [("cta", "no made_up_pet 'cta'; did you mean 'cat'?"), ("x", "there are cat, dog")]
)
def test_an_unknown_name_is_refused_with_what_there_is(room: str, asked: str, said: str) -> None:
    with pytest.raises(PlanError) as refusal:
        discovery.load(room, asked)
    assert said in str(refusal.value)


def test_a_missing_package_is_named_with_the_command_that_installs_it(room: str) -> None:
    with pytest.raises(MissingPackage, match="pip install package_that_nobody_has"):
        discovery.load(room, "dog")


def test_our_own_missing_module_is_a_bug_and_not_a_missing_package(room: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"made_up_pets\.gone") as bug:
        discovery.load(room, "plain")
    assert not isinstance(bug.value, MissingPackage)
