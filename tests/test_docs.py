"""README and pages are true: formulas are what operators cost, tables list what there is, links lead somewhere."""

import inspect
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import upsamplers
from upsampler_bench import models, storage
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops
from upsampler_bench.paper.published import rows
from upsamplers.functional._torch.attention_tiles import bounds

ROOT = Path(__file__).parents[1]
DOCS, README = ROOT / "docs", (ROOT / "README.md").read_text(encoding="utf-8")
OVERVIEW = (DOCS / "operators.md").read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted((DOCS / "operators").glob("*.md"))}
# Channels, guide channels and scale of a second check, and what else a formula's symbols are then, where an operator
# cannot have 144, 96 and 3.
OTHERWISE = {
    "deconv": (144, 96, 3, {"k": 5}),
    "max-unpool": (144, 144, 3, {}),
    "indexnet": (144, 96, 2, {}),
    "a2u": (144, 96, 2, {}),
    "fade-gated": (144, 144, 3, {}),
    "freqfusion": (144, 96, 2, {}),
    "jbu-stack": (144, 96, 4, {"n": 2}),
    "uplift": (144, 96, 4, {}),
    "sapa-b": (160, 96, 3, {}),
    "resfu": (160, 96, 4, {}),
    "lda-aqu": (144, 96, 3, {"D": 36}),
}


@dataclass
class Costs:
    """One operator's row in the table of its page.

    Attributes:
        weights, others, mac, paper: formulas; mac and paper are multiply-adds per input pixel.
        per_image, per_call: formulas of what is done once per image or call besides.
        symbols: the values of symbols other than C, G and s.
    """

    weights: str
    others: str
    mac: str
    paper: str
    per_image: str
    per_call: str
    symbols: dict


def formulas(cell):
    return re.findall(r"\$([^$]+)\$", cell)


def costs(row):
    weights, others, mac, paper, symbols = row.split(" | ")
    once = {unit: re.search(rf"and \$([^$]+)\$ once an? {unit}", mac) for unit in ("image", "call")}
    return Costs(
        formulas(weights)[0],
        formulas(others)[0],
        formulas(mac)[0],
        formulas(mac)[0] if paper == "the same" else formulas(paper)[0],
        once["image"][1] if once["image"] else "0",
        once["call"][1] if once["call"] else "0",
        {symbol: int(value) for symbol, value in (text.split(" = ") for text in formulas(symbols))},
    )


ROW = re.compile(r"^\| `([^`]+)` \| (\$.*) \|$", re.MULTILINE)
COSTS = {name: costs(row) for page in PAGES.values() for name, row in ROW.findall(page)}
PAGE_OF = {name: page for page in PAGES.values() for name in re.findall(r"`([^`]+)`", page.partition("\n")[0])}


def evaluate(formula, values):
    """The value of a formula: sums, products, powers and fractions of whole numbers and one-letter symbols."""
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", formula)
    tokens = []
    for token in re.findall(r"\d+|[A-Za-z]|\S", text):
        is_operand = token.isalnum() or token == "("
        if is_operand and tokens and tokens[-1].endswith(")"):
            tokens.append("*")
        if token.isalnum():
            token = f"Fraction({values[token] if token.isalpha() else token})"
        elif token not in "/+-^()":
            raise ValueError(f"{formula}: {token!r} is not part of a formula")
        tokens.append(token.replace("^", "**"))
    return eval("".join(tokens), {"__builtins__": {}, "Fraction": Fraction})


def pairs_seen(scale, height, width):
    """How many keys the output pixels of AnyUp see together."""
    down, across = (sum(last - first for first, last in bounds(scale * side, side, 0.1)) for side in (height, width))
    return down * across


def check(name, channels, guide_channels, scale, symbols, batch, height, width):
    """Holds every formula of an operator to its module, as integers."""
    with torch.device("meta"):
        module = upsamplers.create(name, channels, scale=scale, guide_channels=guide_channels)
    row, module = COSTS[name], module.to_empty(device="cpu").eval()
    values = {**row.symbols, "C": channels, "G": guide_channels, "s": scale, "H": height, "W": width, **symbols}
    if "N" in row.symbols:
        values["N"] = pairs_seen(scale, height, width)
    counts = [(one.dim() > 1, one.numel()) for one in module.parameters()]
    assert sum(count for is_weight, count in counts if is_weight) == evaluate(row.weights, values)
    assert sum(count for is_weight, count in counts if not is_weight) == evaluate(row.others, values)
    height, width = (max(side, module.least_size) for side in (height, width))
    inputs = [torch.zeros(batch, channels, height, width)]
    if module.needs_guide:
        inputs.append(module.make_guide(torch.zeros(batch, guide_channels, scale * height, scale * width)))
    once = batch * evaluate(row.per_image, values) + evaluate(row.per_call, values)
    counted = flops.counts(module, tuple(inputs), {"mac": conventions.MAC, "paper": conventions.PAPER})
    assert counted.unknown == ()
    for convention, formula in (("mac", row.mac), ("paper", row.paper)):
        assert counted.by_convention[convention] == batch * height * width * evaluate(formula, values) + once


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTS)
def test_formulas_are_the_costs_in_the_comparison(name):
    check(name, 256, 256, 2, {}, 2, 5, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTS)
def test_formulas_are_the_costs_at_other_channels_and_scales(name):
    check(name, *OTHERWISE.get(name, (144, 96, 3, {})), 1, 4, 5)


def test_every_page_documents_registered_operators_with_their_costs():
    assert set(PAGE_OF) == set(COSTS)
    assert set(PAGE_OF) == set(upsamplers.names())


def test_the_comparison_has_every_documented_operator_with_the_formulas_of_its_page():
    rows = re.findall(r"^\| \[`([^`]+)`\]\(([^)]+)\) \| (.*) \|$", OVERVIEW, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(COSTS)
    for name, link, row in rows:
        _, guide, weights, printed_weights, mac, printed_mac = row.split(" | ")
        assert PAGES[DOCS / link] == PAGE_OF[name]
        assert (formulas(weights)[0], formulas(mac)[0]) == (COSTS[name].weights, COSTS[name].mac)
        values = {"C": 256, "G": 256, "s": 2, **COSTS[name].symbols}
        assert printed_weights == f"{int(evaluate(COSTS[name].weights, values)):,}"
        assert printed_mac == f"{int(evaluate(COSTS[name].mac, values)):,}"
        assert (guide == "yes") == upsamplers.get(name).needs_guide


@pytest.mark.parametrize("name", PAGE_OF)
def test_a_page_names_every_option_the_paper_and_what_is_required(name):
    spec, text = upsamplers.get(name), PAGE_OF[name]
    options = set(inspect.signature(spec.cls.__init__).parameters) - {"self", "channels", "scale", "guide_channels"}
    options_line = text.partition("**Options.**")[2].partition("- **Costs.**")[0]
    assert set(re.findall(r"`([a-z_]+)`", options_line)) >= options
    limits = text.partition("**Limits.**")[2].partition("- **Source.**")[0]
    assert ("Guided" in limits) == spec.needs_guide
    assert ("Scale 2." in limits) == (spec.scales == (2,))
    assert str(spec.year or "") in text.partition("**Source.**")[2]


@pytest.mark.parametrize("path", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert all((path.parent / link).exists() for link in links), links


def test_every_figure_is_shown_on_a_page_and_small():
    shown = {link for text in (OVERVIEW, *PAGES.values()) for link in re.findall(r"figures/([^)]+)\)", text)}
    files = list((DOCS / "figures").iterdir())
    assert {path.name for path in files} == shown
    assert all(path.stat().st_size < 120 * 1024 for path in files)


@pytest.mark.parametrize("page", [OVERVIEW, *PAGES.values()], ids=["operators", *(path.stem for path in PAGES)])
def test_mathematics_is_balanced_and_what_github_renders(page):
    assert page.count("$$") % 2 == 0
    blocks = page.split("$$")
    inline = []
    for paragraph in re.split(r"\n\s*\n|\n(?=[|-])", "".join(blocks[::2])):
        assert paragraph.count("$") % 2 == 0, paragraph
        inline += paragraph.split("$")[1::2]
    for block in (*blocks[1::2], *inline):
        depth = 0
        for sign in re.sub(r"\\[{}]", "", block):
            depth += {"{": 1, "}": -1}.get(sign, 0)
            assert depth >= 0, block
        assert depth == 0, block
        assert block.count(r"\left") - block.count(r"\lefta") == block.count(r"\right"), block
        # Markdown would take the backslash away, or GitHub refuses the macro.
        assert not re.search(r"\\[^A-Za-z]|\\operatorname", block), block


def test_the_weights_of_a2u_lie_within_the_bounds_of_its_page():
    logits = upsamplers.create("a2u", 32).kernel_gen(50 * torch.randn(1, 32, 16, 16))
    weights = torch.nn.functional.pixel_shuffle(logits, 2).sigmoid().softmax(1)
    low, high = (float(bound) for bound in re.search(r"between\s+([\d.]+) and ([\d.]+\d)", PAGE_OF["a2u"]).groups())
    assert low == round(1 / (1 + 8 * torch.e), 3)
    assert high == round(torch.e / (torch.e + 8), 3)
    assert weights.min() >= low - 5e-4
    assert weights.max() <= high + 5e-4


def test_the_middle_of_sierra_weighs_at_least_what_its_page_says():
    least = float(re.search(r"weighs at least ([\d.]+\d)", PAGE_OF["sierra"])[1])
    sierra = upsamplers.create("sierra", 1)
    weights = [
        sierra.logits(x).unflatten(1, (9, 4)).softmax(1)[:, 4].min()
        for x in (torch.ones(1, 1, 8, 8), torch.randn(1, 1, 8, 8))
    ]
    assert min(weights) >= least
    assert weights[0] < least + 1e-4


def test_the_readmes_table_has_every_operator_and_links_its_page():
    rows = re.findall(r"^\| \[(.*?)\]\((docs/operators/[^)]+)\) \|", README, re.MULTILINE)
    listed = set()
    for cell, page in rows:
        first, *others = re.findall(r"`([^`]+)`", cell)
        names = [first, *(name if name[0].isalpha() else first + name for name in others)]
        documented = (ROOT / page).read_text(encoding="utf-8").partition("\n")[0]
        assert all(f"`{name}`" in documented for name in names)
        listed.update(names)
    assert listed == set(upsamplers.names())


def test_every_make_target_of_the_readme_exists_and_has_help():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_the_models_page_lists_the_models():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == {*models.names()} - {"stages"}


def test_the_readme_compares_operators_by_what_the_committed_reports_and_the_paper_say():
    cpu, gpu = (storage.load(ROOT / "reports" / folder) for folder in ("amd-epyc", "nvidia-h100-80gb-hbm3"))
    published = {row["upsampler"]: row for row in rows("segformer_b1_ade20k")}
    table = [row for row in re.findall(r"^\| `(.+?)` \|(.+)\|$", README, re.MULTILINE) if row[1].count("|") == 6]
    assert len(table) == 7
    for name, cells in table:
        on_cpu, on_gpu, on_triton, memory, weights, quality, guide = (cell.strip() for cell in cells.split("|"))
        case = next(row.case for row in cpu.measurements if row.case.upsampler == name and row.case.mode == "inference")
        memory_of = cpu.measurement(case).reading("inference_memory")
        assert float(on_cpu) == round(cpu.ratio(case, "latency").value, 1), name
        assert float(memory) == round(memory_of.samples[0] / 2**20, 1), name
        for cell, backend in ((on_gpu, "torch"), (on_triton, "triton")):
            ratio = gpu.ratio(replace(case, device="cuda:0", backend=backend), "latency")
            assert cell == ("–" if ratio is None else f"{ratio.value:.1f}".removesuffix(".0")), name
        module = upsamplers.create(name, 256)
        assert int(weights.replace(",", "")) == sum(one.numel() for one in module.parameters() if one.dim() > 1), name
        assert quality == f"{published[name]['miou']}, {published[name]['biou']}", name
        assert (guide == "yes") == module.needs_guide
