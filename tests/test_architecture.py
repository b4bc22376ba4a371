"""The design: which way imports point, who may load torch, and who knows CUDA."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPERATORS, INSTRUMENT = ROOT / "upsamplers", ROOT / "upsampler_bench"
TOP = {"__init__", "__main__", "capacity", "case", "cli", "discovery", "errors", "plan", "results", "stats", "storage",
       "text", "units"}  # fmt: skip
# The reporting half; in other rooms a file that never loads torch says so in its first line.
TORCH_FREE_ROOMS = {"export", "figures", "formats", "recommend", "report"}
KNOWS_CUDA = {"device", "backends", "_triton"}
FILES = sorted(path for package in (OPERATORS, INSTRUMENT) for path in package.rglob("*.py"))


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


def imported_names(path):
    """The dotted names that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path):
    """The files of the two packages that a file imports."""
    for name in imported_names(path):
        found = name if name in MODULES else name.rpartition(".")[0]
        if found in MODULES:
            yield found


def room(module):
    """The folder below a package that a module is in, or the module's own name at the top."""
    parts = module.split(".")
    return parts[0] if parts[0] == "upsamplers" or len(parts) == 1 else parts[1]


def is_torch_free(path):
    """Whether a file belongs to the half that reads stored runs and never loads torch."""
    inside = path.relative_to(INSTRUMENT).parts
    is_at_top = len(inside) == 1 and path.stem not in ("__main__", "cli", "capacity")
    return is_at_top or inside[0] in TORCH_FREE_ROOMS or path.read_text(encoding="utf-8").startswith("# torch-free\n")


TORCH_FREE = [path for path in FILES if path.is_relative_to(INSTRUMENT) and is_torch_free(path)]


def test_operators_need_torch_and_triton_alone():
    files = [path for path in FILES if path.is_relative_to(OPERATORS)]
    packages = {(path, name.split(".")[0]) for path in files for name in imported_names(path)}
    allowed = {"torch", "triton", "upsamplers", *sys.stdlib_module_names}
    assert [(module_name(path), package) for path, package in packages if package not in allowed] == []


def test_rooms_import_one_another_in_one_direction():
    rooms = {}
    for module, path in MODULES.items():
        if room(module) not in ("upsampler_bench", "upsamplers"):  # the public names import every room
            rooms.setdefault(room(module), set()).update(map(room, imported_modules(path)))
    TopologicalSorter({name: used - {name} for name, used in rooms.items()}).prepare()


def test_files_import_one_another_in_one_direction():
    TopologicalSorter({module: {*imported_modules(path)} - {module} for module, path in MODULES.items()}).prepare()


def test_the_top_holds_what_every_room_knows_and_nothing_else():
    assert {path.stem for path in INSTRUMENT.glob("*.py")} == TOP


def test_what_reads_stored_runs_imports_nothing_that_loads_torch():
    public = INSTRUMENT / "__init__.py"  # its functions measure
    for path in TORCH_FREE:
        if path != public:
            assert not {name.split(".")[0] for name in imported_names(path)} & {"torch", "upsamplers"}, path
            assert {MODULES[module] for module in imported_modules(path)} <= {*TORCH_FREE, public}, path


HEAVY = "torch", "upsamplers", "pandas", "numpy", "matplotlib", "fvcore"
LIGHT = {
    "the reporting half": (
        f"import {', '.join(module_name(path) for path in TORCH_FREE if path.stem != '__main__')}",
        ("torch", "upsamplers"),
    ),
    "--help": ("from upsampler_bench import cli\ntry: cli.app(['--help'])\nexcept SystemExit: pass", HEAVY),
    "names of formats": ("from upsampler_bench import cli, formats\nformats.names()", ("jinja2", "plotly")),
    "backends": (
        "from upsampler_bench import backends\nfor name in backends.names(): assert backends.get(name).DESCRIPTION",
        HEAVY,
    ),
    "names of models": (
        "from upsampler_bench import models\nassert 'segformer-b1' in models.names()",
        ("upsampler_bench.models.segformer_b1", "transformers"),
    ),
    "exports": (
        "from upsampler_bench import export\nfor name in export.names(): export.get(name)",
        (*HEAVY, "pytest"),
    ),
    "the pytest plug-in": ("import upsampler_bench.testing.plugin", (*HEAVY, "rich")),
}


@pytest.mark.slow
@pytest.mark.parametrize(("code", "heavy"), LIGHT.values(), ids=LIGHT)
def test_what_is_needed_early_loads_nothing_heavy(code, heavy):
    code += f"\nimport sys\nassert not {{*{heavy}}} & {{*sys.modules}}, {{*{heavy}}} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_cuda_is_known_to_devices_and_kernels_alone():
    others = [path for path in FILES if not KNOWS_CUDA & {*path.parts}]
    assert [module_name(path) for path in others if "torch.cuda" in path.read_text(encoding="utf-8")] == []
