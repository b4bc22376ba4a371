"""The arrows of the design: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MEASURING = {
    "device", "doctor", "environment", "group", "live_storage", "operators", "process", "protocol", "rounds", "runner",
    "session", "verify", "worker", "workload", "metrics", "hosts", "catalogue", "nvml", "plan", "progress",
    "processor", "job", "rates", "lesson", "sections",
    "contest", "capacity", "unallocated", "pytest_plugin", "pytest_case", "exact",
}  # fmt: skip
TELLING = {"report", "formats", "frame", "published", "compare", "choosing", "exports", "study", "history", "drawing"}
WAIST = {
    "case", "results", "stats", "storage", "errors", "discovery", "sizes", "limits", "verdicts", "benchmark_json",
    "exactness",
}  # fmt: skip
# Rooms that may be imported by a room; what is not listed here may import the waist alone.
ALLOWED = {
    "case": set(),
    "stats": set(),
    "errors": set(),
    "discovery": {"errors"},
    "results": {"case", "stats", "frame", "storage"},  # frame and storage inside methods
    "storage": {"benchmark_json", "case", "errors", "results"},
    "benchmark_json": {"case", "results"},
    "exports": {"exports"} | WAIST,
    "frame": {"results"},
    "formats": TELLING | WAIST,
    "report": {"report", "published"} | WAIST,
    "sizes": {"case"},
    "exactness": {"errors", "storage"},
    "verdicts": {"verdicts"},
    "study": {"study"} | WAIST,
    "drawing": {"drawing"},
    "history": {"history", "drawing"} | WAIST,
    "compare": {"compare", "report"} | WAIST,
    "choosing": {"choosing", "report", "published"} | WAIST,
    "capacity": {"case", "device", "errors", "sizes", "unallocated", "workload"},
    "unallocated": {"case", "live_storage", "sizes", "workload"},
    "metrics": {"metrics", "device", "rates", "verify", "workload"} | WAIST,
    "rates": {"device"},
    "workload": {"case", "hosts", "lesson"},
    "hosts": {"hosts", "discovery", "errors"},
    "lesson": set(),
    "device": {"device", "case", "errors", "live_storage", "nvml", "processor"},
    "live_storage": set(),
    "nvml": set(),
    "rounds": {"case", "device", "stats"},
}
FILES = sorted(path for room in ("upsamplers", "upsampler_bench") for path in (ROOT / room).rglob("*.py"))


def imports(path):
    """The dotted names that a file imports from the two packages."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            plain = node.module in ("upsampler_bench", "upsamplers")
            yield from (f"{node.module}.{one.name}" for one in node.names) if plain else (node.module,)


def room(path):
    return path.relative_to(ROOT / "upsampler_bench").parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", [one for one in FILES if one.is_relative_to(ROOT / "upsamplers")], ids=lambda p: p.stem
)
def test_operators_never_know_the_instrument(path):
    foreign = {name.split(".")[0] for name in imports(path)} - {
        "torch",
        "triton",
        "upsamplers",
        *sys.stdlib_module_names,
    }
    assert not foreign, "operators need torch alone (their fused twins triton)"


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "upsampler_bench")], ids=lambda p: p.stem)
def test_no_arrow_goes_up_or_sideways(path):
    used = {name.split(".")[1] for name in imports(path) if name.startswith("upsampler_bench.")}
    if room(path) in ALLOWED:
        assert used <= ALLOWED[room(path)], f"{path} imports {used - ALLOWED[room(path)]}"
    if room(path) in TELLING | WAIST:
        assert not used & MEASURING
    if room(path) in MEASURING:
        assert not used & (TELLING | {"cli"})


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_only_one_room_knows_cuda(path):
    if "device" in path.parts or "fused" in path.parts or path.name == "doctor.py":
        return
    assert "torch.cuda" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "module",
    [
        "report",
        "formats",
        "storage",
        "results",
        "plan",
        "cli",
        "published",
        "exports",
        "benchmark_json",
        "pytest_plugin",
        "choosing.words",
        "choosing.sizes_told",
    ],
)
def test_telling_never_loads_torch(module):
    code = f"import sys, upsampler_bench.{module}; assert not {{'torch', 'upsamplers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_help_loads_neither_torch_nor_pandas():
    code = (
        "import sys\nfrom upsampler_bench import cli\n"
        "try:\n    cli.app(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'pandas', 'matplotlib', 'fvcore', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_no_file_of_tests_or_drawings_outgrows_a_reader():
    others = [path for room in ("tests", "docs") for path in (ROOT / room).rglob("*.py")]
    assert len(others) > 50
    assert not [path.name for path in others if path.read_text(encoding="utf-8").count("\n") > 300]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files_and_functions_stay_readable(path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            exempt = path.name in ("cli.py", "measure.py") or path.name.endswith("_kernels.py")
            assert node.end_lineno - node.lineno < 50 or exempt, f"{path}: {node.name}"
