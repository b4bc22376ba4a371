"""The README says what is true: its table, its commands, its code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from upsampler_bench.commands import catalogue

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_operator_table_is_current():
    assert catalogue.markdown() in README, "paste the output of: upsampler-bench list --markdown"


def test_every_make_target_of_the_readme_exists_and_has_help():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links), links


def test_the_first_example_runs(tmp_path):
    code = next(
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "upsamplers.create" in block
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_example_of_ones_own_module_runs(tmp_path):
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "register_module" in block)
    quick = 'device="cpu", max_time=0.05, metrics=["params", "latency"]'
    code = code.replace("shape=(256, 120, 120)", f"shape=(8, 6, 5), {quick}")
    assert quick in code
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert {"report.csv", "report.md", "panel.png"} <= {one.name for one in (tmp_path / "my-report").iterdir()}
