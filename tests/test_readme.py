"""The README says what is true: its table, its targets."""

import re
from pathlib import Path

import upsamplers
from upsampler_bench import models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_models_page_lists_models_that_exist():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) <= set(models.names())
