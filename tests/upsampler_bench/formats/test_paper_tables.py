"""Compared with the paper in every text format."""

import csv
import io
from dataclasses import replace

import pytest
from sample_paper_runs import COSTS, bare_run, depth_run, failed, pyramid_run, segformer_run

from upsampler_bench import formats, report
from upsampler_bench.paper import published
from upsampler_bench.report.parts import Report

NASTY = "NVIDIA |H_200& {$^}~\\%#<b>[red]*"
VARIANTS = [one.upsampler for one in published.ablation()]


def paper_report() -> Report:
    names = dict.fromkeys((*COSTS, *VARIANTS), 2.0) | {"bilinear": 1.0}
    bare = failed(bare_run(names, device_name=NASTY, device_kind="cuda"), "carafe", "a | b\n& [bold]c_d $x$")
    return report.from_runs([segformer_run(), pyramid_run("fpn-r50"), depth_run(), bare])


@pytest.mark.parametrize("name", ["markdown", "latex", "terminal"])
def test_every_text_has_the_summary_the_device_and_the_reasons(name: str) -> None:
    text = " ".join(formats.render(name, paper_report()).split())
    assert "comparable cells are reproduced" in text
    assert "failed: a" in text
    assert "not the paper's RTX 3090" in text


def test_markdown_tables_have_as_many_cells_in_each_row() -> None:
    made = paper_report()
    text = formats.render("markdown", made).partition("## Compared with the paper")[2].partition("### What the")[0]
    blocks = text.split("\n### ")[1:]
    assert [one.partition("\n")[0] for one in blocks] == [one.title.replace("<", r"\<") for one in made.published]
    for block in blocks:
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1
    assert "| deconv | +34.4 → +34.43 ✓ | +3.5M → +3.54M ✓ | 40.71 | 25.94 |" in text
    assert "| nearest (R101) | 65.8M – | 39.4 |" in text
    assert r"NVIDIA \|H\_200& {$^}\~\\%\#\<b\>\[red\]\*" in text


def test_a_reason_that_several_cells_share_is_printed_once() -> None:
    text = formats.render("markdown", paper_report())
    assert text.count("not the paper's RTX 3090\n") == 1
    assert "- GFLOPs and Params of fade, reproduced: compared with fade-gated" in text


def test_the_published_csv_is_long_and_only_written_if_something_is_compared() -> None:
    files = formats.get("csv").files(paper_report())
    rows = list(csv.DictReader(io.StringIO(files["published.csv"].decode())))
    assert {"table", "upsampler", "figure", "published", "ours", "deviation", "verdict", "why"} <= set(rows[0])
    key = ("table4", "deconv", "GFLOPs")
    (deconv,) = [row for row in rows if (row["table"], row["upsampler"], row["figure"]) == key]
    assert (deconv["published"], deconv["verdict"], deconv["our_value"]) == ("+34.4", "reproduced", "34.42684723")
    assert len(rows) == sum(len(row.cells) for table in paper_report().published for row in table.rows)
    small = [replace(one, case=replace(one.case, height=24)) for one in bare_run({"dysample": 1.0}).measurements]
    nothing = report.from_run(replace(bare_run({"dysample": 1.0}), measurements=tuple(small)))
    assert list(formats.get("csv").files(nothing)) == ["report.csv"]
    assert "Compared with the paper" not in "".join(formats.render(one, nothing) for one in ("markdown", "terminal"))


def test_latex_tables_are_balanced_and_have_both_figures_side_by_side() -> None:
    text = formats.render("latex", paper_report())
    assert r"deconv & +34.4 & +34.43 & +3.5M & +3.54M & 40.71 & 25.94 \\" in text
    assert r"carafe & 7.9 (12.6 ms) & -- \\" in text
    assert r"tab:published-table9" in text
    assert "table7" not in text
    bare = text.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    for block in text.split(r"\begin{tabular}{@{}")[1:]:
        columns = len(block.partition("@{}}")[0])
        body = block.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
        assert {line.replace(r"\&", "").count("&") for line in body} == {columns - 1}
    assert not {"→", "≠", "✓", "δ", "³"} & set(text)


def test_the_terminal_shows_fig_1_table_4_and_all_reasons_within_80_columns() -> None:
    text = formats.render("terminal", paper_report())
    compared = text[text.index("Compared with the paper") :]
    assert max(map(len, compared.splitlines())) <= 80
    assert "\x1b" not in compared
    assert "+34.4 → +34.43 ✓" in compared
    assert "Also compared, in published.csv: Table 1, Table 2, Table 3, Table 6" in compared
    assert "without the detection heads" in " ".join(compared.split())
    assert "HAHI" in compared
    # What is reproduced needs no reason there.
    assert "grid_sample" not in compared
