"""The page of the operators says what is true: sections, figures, formulas."""

import inspect
import re
import sys
from pathlib import Path

import pytest
import torch
from test_flops import CLOSED_FORMS

import upsamplers
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS / "drawing"))
import _formulas  # noqa: E402

sys.path.remove(str(DOCS / "drawing"))
PAGE = (DOCS / "operators.md").read_text(encoding="utf-8")
# A twin's mathematics is its reference's.
NAMES = [name for name in upsamplers.names() if not upsamplers.get(name).reference]
FORMULAS = list(_formulas.printed(PAGE))
SECTIONS = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
# Channels, guide channels, scale and what else changes, where an operator cannot have 144, 96 and 3.
OTHERWISE = {
    "deconv": (144, 96, 3, {"k": 5}),
    "max-unpool": (144, 144, 3, {}),
    "indexnet": (144, 96, 2, {}),
    "a2u": (144, 96, 2, {}),
    "fade-gated": (144, 144, 3, {}),
    "sapa-b": (160, 96, 3, {}),
    "lda-aqu": (144, 96, 3, {"D": 36}),
}


def section(name):
    return next(text for heading, text in SECTIONS if f"`{name}`" in heading)


def formula(cell):
    """The formula of a table's cell."""
    return re.match(r"\$([^$]+)\$", cell)[1]


def counted(module):
    weights = sum(one.numel() for one in module.parameters() if one.dim() > 1)
    return weights, sum(one.numel() for one in module.parameters()) - weights


def test_every_operator_has_a_section_and_they_stand_in_the_registry_s_order():
    named = [re.findall(r"`([^`]+)`", heading) for heading, _ in SECTIONS]
    assert sorted(name for names in named for name in names) == sorted(NAMES)
    firsts = [names[0] for names in named if names]
    assert firsts == [name for name in NAMES if name in firsts]


@pytest.mark.parametrize("name", NAMES)
def test_a_section_names_every_option_its_paper_and_whether_it_is_guided(name):
    spec, text = upsamplers.get(name), section(name)
    options = set(inspect.signature(spec.cls.__init__).parameters) - {"self", "channels", "scale", "guide_channels"}
    options_line = text.partition("**Options.**")[2].partition("- **Costs.**")[0]
    assert set(re.findall(r"`([a-z_]+)`", options_line)) >= options
    limits = text.partition("**Limits.**")[2].partition("- **Source.**")[0]
    assert ("Guided" in limits) == spec.needs_guide
    assert ("Scale 2." in limits) == (spec.scales == (2,))
    assert str(spec.year or "") in text.partition("**Source.**")[2]


def test_every_figure_is_linked_and_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert all((DOCS / link).is_file() for link in links), links
    drawn = {f"figures/{one.name}" for one in (DOCS / "figures").iterdir()}
    assert drawn == {link for link in links if link.startswith("figures/")}
    assert all(one.stat().st_size < 120 * 1024 for one in (DOCS / "figures").iterdir())


def test_the_tables_of_formulas_are_current():
    assert _formulas.page_with_tables(PAGE) == PAGE, "run: make figures"
    assert [name for name, _ in FORMULAS[: len(NAMES)]] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_multiply_adds_of_the_comparison_are_those_of_the_module(name):
    _, _, weights, printed_weights, mac, printed_mac = next(cells for one, cells in FORMULAS if one == name)
    known = _formulas.values(_formulas.BY_NAME[name])
    found = _formulas.evaluate(formula(weights), known), _formulas.evaluate(formula(mac), known)
    assert [f"{one:,}" for one in found] == [printed_weights, printed_mac]
    assert found == (counted(created(name, 256, 256, 2))[0], CLOSED_FORMS[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_the_formulas_of_a_section_also_hold_for_other_channels_and_scales(name):
    *plain, paper, _ = [cells for one, cells in FORMULAS if one == name][1]
    costs, (channels, guide_channels, scale, own) = _formulas.BY_NAME[name], OTHERWISE.get(name, (144, 96, 3, {}))
    known = _formulas.values(costs, C=channels, G=guide_channels, s=scale, **own)
    module = created(name, channels, guide_channels, scale)
    weights, others, mac = (_formulas.evaluate(formula(cell), known) for cell in plain)
    assert counted(module) == (weights, others)
    assert per_pixel(name, module, channels, guide_channels) == mac
    paper = plain[2] if paper == "the same" else paper
    assert _formulas.evaluate(formula(paper), _formulas.values(costs)) == CLOSED_FORMS[name][1]


def created(name, channels, guide_channels, scale):
    with torch.device("meta"):
        return upsamplers.create(name, channels, scale=scale, guide_channels=guide_channels).eval()


def per_pixel(name, module, channels, guide_channels):
    """Multiply-adds for an input pixel, without what is done once an image or a call."""
    module, (height, width) = module.to_empty(device="cpu"), (4, 5)
    given = [torch.zeros(1, channels, height, width)]
    if module.needs_guide:
        feature = torch.zeros(1, guide_channels, module.scale * height, module.scale * width)
        given.append(module.make_guide(feature))
    count, unknown = flops.count(module, tuple(given), conventions.MAC)
    assert not unknown
    return (count - {"a2u": 108 * guide_channels, "jbu": 7}.get(name, 0)) / (height * width)


def test_what_is_no_formula_is_refused():
    for text in ("Cx", "__import__", "C.G", r"\sum C"):
        with pytest.raises(ValueError, match=re.escape(text)):
            _formulas.evaluate(text, {"C": 1, "G": 2})


def test_mathematics_is_balanced_and_what_github_renders():
    assert PAGE.count("$$") % 2 == 0
    blocks = PAGE.split("$$")
    displayed, rest = blocks[1::2], "".join(blocks[::2])
    inline = []
    for paragraph in re.split(r"\n\s*\n|\n(?=[|-])", rest):
        assert paragraph.count("$") % 2 == 0, paragraph
        inline += paragraph.split("$")[1::2]
    for block in (*displayed, *inline):
        depth = 0
        for sign in re.sub(r"\\[{}]", "", block):
            depth += {"{": 1, "}": -1}.get(sign, 0)
            assert depth >= 0, block
        assert depth == 0, block
        assert block.count(r"\left") - block.count(r"\lefta") == block.count(r"\right"), block
        # Markdown would take the backslash away, or GitHub refuses the macro.
        assert not re.search(r"\\[^A-Za-z]|\\operatorname", block), block


def test_the_weights_of_a2u_lie_within_the_bounds_that_the_page_prints():
    weights = upsamplers.create("a2u", 32).weights(50 * torch.randn(1, 32, 16, 16))
    low, high = (float(one) for one in re.search(r"between\s+([\d.]+) and ([\d.]+\d)", section("a2u")).groups())
    assert low == round(1 / (1 + 8 * torch.e), 3)
    assert high == round(torch.e / (torch.e + 8), 3)
    assert weights.min() >= low - 5e-4
    assert weights.max() <= high + 5e-4


def test_the_middle_of_sierra_weighs_at_least_what_the_page_prints():
    least = float(re.search(r"weighs at least ([\d.]+\d)", section("sierra"))[1])
    for x in (torch.ones(1, 1, 8, 8), torch.randn(1, 1, 8, 8)):
        found = upsamplers.create("sierra", 1).weights(x)[:, 4].min()
        assert found >= least
    assert upsamplers.create("sierra", 1).weights(torch.ones(1, 1, 8, 8))[:, 4].min() < least + 1e-4
