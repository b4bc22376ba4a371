"""The README says what is true: its table, its commands, its code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import upsamplers
from upsampler_bench import models

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_block(page, containing):
    return next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if containing in block)


def test_every_operator_of_the_table_is_registered_and_its_page_documents_it():
    rows = re.findall(r"^\| \[(.*?)\]\((docs/operators/[^)]+)\) \|", README, re.MULTILINE)
    assert len(rows) > 10
    for cell, page in rows:
        first, *others = re.findall(r"`([^`]+)`", cell)
        names = [first, *(name if name[0].isalpha() else first + name for name in others)]
        documented = (ROOT / page).read_text(encoding="utf-8").partition("\n")[0]
        assert set(names) <= set(upsamplers.names())
        assert all(f"`{name}`" in documented for name in names)


def test_every_make_target_of_the_readme_exists_and_has_help():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links), links


def test_the_first_example_runs(tmp_path):
    code = code_block(README, "torch.randn")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_example_of_ones_own_module_runs(tmp_path):
    code = code_block(README, "register_module")
    quick = 'device="cpu", max_time=0.05, metrics=["params", "latency"]'
    code = code.replace("shape=(256, 120, 120)", f"shape=(8, 6, 5), {quick}")
    assert quick in code
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert {"report.csv", "report.md", "panel.png"} <= {one.name for one in (tmp_path / "my-report").iterdir()}


def test_the_models_page_lists_models_that_exist_and_its_example_is_one(tmp_path):
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) <= set(models.names())
    (tmp_path / "my_model.py").write_text(code_block(page, "def build"), encoding="utf-8")
    command = ["run", "--model", "my_model.py:build", "-u", "dysample", "--image", "32x48", "--device", "cpu"]
    command += ["--metrics", "params", "--output-dir", "out", "-f", "csv"]
    subprocess.run([sys.executable, "-m", "upsampler_bench", *command], check=True, cwd=tmp_path, capture_output=True)
    assert "dysample" in (tmp_path / "out" / "report.csv").read_text(encoding="utf-8")
