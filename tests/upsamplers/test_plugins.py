"""Operators come in from outside in three ways; a plug-in that fails is named."""

import sys
from pathlib import Path

import pytest
import torch

import upsamplers
from upsamplers import DuplicateUpsampler, PluginError, Upsampler, registry

PLUGIN = """
import upsamplers

@upsamplers.register({name!r})
class Mine(upsamplers.Upsampler):
    def forward(self, x):
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)
"""

pytestmark = pytest.mark.usefixtures("registry_restored")


def written(folder: Path, name: str, text: str = PLUGIN) -> Path:
    """A file `name`.py that registers the operator `name`, or holds another text."""
    path = folder / f"{name}.py"
    path.write_text(text.format(name=name), encoding="utf-8")
    return path


def test_a_file_imports_its_neighbours_and_leaves_no_path_behind(tmp_path: Path) -> None:
    written(tmp_path, "neat_neighbour", "NAME = 'by a neighbour'")
    path = written(tmp_path, "neat_importer", "from neat_neighbour import NAME\n" + PLUGIN.replace("{name!r}", "NAME"))
    before = list(sys.path)
    assert upsamplers.load_plugin(str(path)) == ("by a neighbour",)
    assert sys.path == before


def test_a_module_of_the_current_folder_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "neat_here")
    (tmp_path / "neat_folder").mkdir()
    written(tmp_path / "neat_folder", "neat_inside")
    written(tmp_path, "random", "1 / 0")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert upsamplers.load_plugin("neat_here") == ("neat_here",)
    assert upsamplers.load_plugin("neat_folder.neat_inside") == ("neat_inside",)
    assert sys.path == before


def test_a_package_that_failed_is_loaded_whole_once_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "neat_package"
    folder.mkdir()
    written(folder, "neat_part")
    package = written(folder, "__init__", "from . import neat_part\n1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        upsamplers.load_plugin("neat_package")
    package.write_text("from . import neat_part\n")
    assert upsamplers.load_plugin("neat_package") == ("neat_part",)


def test_a_plug_in_that_fails_leaves_modules_that_are_not_its_own(tmp_path: Path) -> None:
    text = "import upsamplers\nfrom upsamplers.operators.dysample import DySample\n"
    text += "upsamplers.register('neat_variant', groups=8)(DySample)\n1 / 0"
    module = sys.modules[type(upsamplers.create("dysample", 4)).__module__]
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        upsamplers.load_plugin(written(tmp_path, "neat_failing", text))
    assert sys.modules[module.__name__] is module


def test_a_path_is_a_plugin(tmp_path: Path) -> None:
    assert upsamplers.load_plugin(written(tmp_path, "neat_path")) == ("neat_path",)


@pytest.mark.parametrize("as_file", [True, False])
def test_a_file_or_a_module_is_a_plugin_and_may_be_loaded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    path = written(tmp_path, "neat_twice")
    monkeypatch.syspath_prepend(tmp_path)
    where = str(path) if as_file else "neat_twice"
    assert [upsamplers.load_plugin(where) for _ in range(2)] == [("neat_twice",), ()]


def test_a_package_may_be_loaded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neat_package").mkdir()
    written(tmp_path / "neat_package", "operators")
    written(tmp_path / "neat_package", "__init__", "from neat_package import operators")
    monkeypatch.syspath_prepend(tmp_path)
    assert [upsamplers.load_plugin("neat_package") for _ in range(2)] == [("operators",), ()]


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """A distribution in a folder of sys.path, whose entry points are these modules."""
    info = folder / "neat_distribution-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neat-distribution\nVersion: 1.0\n", encoding="utf-8")
    listed = "".join(f"{name} = {name}\n" for name in modules)
    (info / "entry_points.txt").write_text(f"[upsamplers]\n{listed}", encoding="utf-8")
    for name, text in modules.items():
        written(folder, name, text)
    monkeypatch.syspath_prepend(folder)
    registry._discovered.discard("installed")


def test_an_installed_entry_point_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, neat_entry=PLUGIN)
    assert upsamplers.names()[-1] == "neat_entry"
    assert isinstance(upsamplers.create("neat_entry", 4), Upsampler)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import nowhere_at_all", "nowhere_at_all"),
        (PLUGIN.replace("{name!r}", "'bilinear'"), "DuplicateUpsampler"),
    ],
)
def test_an_entry_point_that_is_broken_or_takes_a_taken_name_is_warned_about_once_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, text: str, message: str
) -> None:
    installed(tmp_path, monkeypatch, neat_broken=text, neat_working=PLUGIN)
    with pytest.warns(UserWarning, match=f"plug-in 'neat_broken' .*skipped: .*{message}"):
        assert upsamplers.names()[-1] == "neat_working"
    assert upsamplers.get("neat_working").name == "neat_working"
    assert upsamplers.get("bilinear").cls.__module__ == "upsamplers.operators.interpolate"
    assert not recwarn.list


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "registers no upsampler; it should use"),
        ("1 / 0", "ZeroDivisionError: division"),
        ("(", "SyntaxError"),
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_plugin_that_registers_nothing_or_fails_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, as_file: bool
) -> None:
    path = written(tmp_path, "neat_failure", text)
    monkeypatch.syspath_prepend(tmp_path)
    where = str(path) if as_file else "neat_failure"
    with pytest.raises(PluginError, match=f"plug-in '{where}'.*{message}") as refusal:
        upsamplers.load_plugin(where)
    assert isinstance(refusal.value, ImportError)


@pytest.mark.parametrize("where", ["nowhere/at_all.py", "nowhere_at_all"])
def test_a_plugin_that_is_not_there_is_refused_by_name(where: str) -> None:
    with pytest.raises(PluginError, match=f"cannot load plug-in '{where}'.*{where}"):
        upsamplers.load_plugin(where)


def test_a_plugin_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    path = written(tmp_path, "neat_half", PLUGIN + "\n1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        upsamplers.load_plugin(str(path))
    assert "neat_half" not in upsamplers.names()


def test_files_of_one_name_in_two_folders_are_two_plugins(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    upsamplers.load_plugin(str(written(tmp_path / "one", "neat_same")))
    with pytest.raises(DuplicateUpsampler, match="'neat_same' is already registered"):
        upsamplers.load_plugin(str(written(tmp_path / "two", "neat_same")))


def test_a_class_that_keeps_no_contract_is_shown_the_way_in() -> None:
    with pytest.raises(upsamplers.NotAnUpsampler, match=r"register_module\('plain'"):
        upsamplers.register("plain")(torch.nn.Identity)  # type: ignore[type-var]
