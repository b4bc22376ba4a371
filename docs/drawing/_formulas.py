"""What every operator costs, in closed form, and the tables of docs/operators.md made of that.

A formula is written as it is printed, in LaTeX: sums and products of whole numbers and one-letter symbols, with powers,
parentheses and fractions, e.g. "Cm + 9mk^2". So it can be evaluated too. The symbols are those of the page: C and G
channels of x and of the guide, s scale, k side of the window, Z groups, m and D inner channels, e side of an encoder's
kernel, r reduction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

FIXED, BLIND, KERNEL, POINTS, BOTH = "fixed", "learned, content-blind", "kernel-based", "sampling-based", "both"
AT = {"C": 256, "G": 256, "s": 2}


@dataclass(frozen=True, slots=True)
class Costs:
    """One operator's costs.

    Attributes:
        name: as it is registered.
        family: what kind of upsampler it is.
        weights: parameters of two or more dimensions.
        others: all other parameters.
        mac: multiply-adds for an input pixel.
        paper: the same in the convention of the paper; empty: as mac.
        defaults: the values of symbols other than C, G and s.
        guided: whether it takes a guide.
        note: what the formulas leave out.
    """

    name: str
    family: str
    weights: str
    others: str
    mac: str
    paper: str = ""
    defaults: Mapping[str, int] = field(default_factory=dict)
    guided: bool = False
    note: str = ""


FADE = "Cm + 9mk^2 + s^2(Gm + 9mk^2 + k^2C)"
LDA = "2CD + s^2(9D + 18k^2D + k^2D + k^2C)"
CARAFE = "Cm + e^2mZk^2s^2 + k^2Cs^2"

COSTS = (
    Costs("nearest", FIXED, "0", "0", "0"),
    Costs("bilinear", FIXED, "0", "0", "4Cs^2", "0"),
    Costs("bicubic", FIXED, "0", "0", "16Cs^2", "0"),
    Costs("deconv", BLIND, "k^2C^2", "C", "k^2C^2", "k^2C^2s^2", {"k": 3}),
    Costs("pixel-shuffle", BLIND, "k^2s^2C^2", "s^2C", "k^2s^2C^2", defaults={"k": 3}),
    Costs("max-unpool", FIXED, "0", "0", "0", guided=True),
    Costs("carafe", KERNEL, "Cm + e^2mZk^2s^2", "m + Zk^2s^2", CARAFE, "", {"k": 5, "Z": 1, "m": 64, "e": 3}),
    Costs("indexnet", KERNEL, "32G^2 + 8G", "4G", "32G^2 + 8G + 4C", guided=True),
    Costs(
        "a2u", KERNEL, "38G", "4G + 38", "73G + 36 + 36C", guided=True,
        note="and $108G$ once an image, for what is predicted from the pooled guide",
    ),
    Costs("fade", KERNEL, "(C + G)m + 9mk^2", "m + k^2", FADE, "", {"k": 5, "m": 64}, guided=True),
    Costs(
        "fade-gated", KERNEL, "(C + G)m + 9mk^2 + C", "m + k^2 + 1", f"{FADE} + C + Cs^2", f"{FADE} + C + 2Cs^2",
        {"k": 5, "m": 64}, guided=True,
    ),
    Costs(
        "sapa-b", KERNEL, "(C + G)D", "2D + 2C + 2G", "CD + s^2(GD + k^2D + k^2C)", "", {"k": 5, "D": 32}, guided=True,
    ),
    Costs("dysample", POINTS, "2Zs^2C", "2Zs^2", "2Zs^2C + 4Cs^2", "2Zs^2C + 11Cs^2", {"Z": 4}),
    Costs("dysample+", POINTS, "4Zs^2C", "2Zs^2", "4Zs^2C + 4Cs^2", "4Zs^2C + 11Cs^2", {"Z": 4}),
    Costs("dysample-s", POINTS, r"\frac{2ZC}{s^2}", "2Z", "2ZC + 4Cs^2", "2ZC + 11Cs^2", {"Z": 8}),
    Costs("dysample-s+", POINTS, r"\frac{4ZC}{s^2}", "2Z", "4ZC + 4Cs^2", "4ZC + 11Cs^2", {"Z": 8}),
    Costs("dysample-naive", POINTS, "2Zs^2C", "2Zs^2", "2Zs^2C + 4Cs^2", "2Zs^2C + 11Cs^2", {"Z": 1}),
    Costs("sierra", KERNEL, "0", "0", "k^2 + k^2s^2 + k^2Cs^2", "", {"k": 3}),
    Costs(
        "dlu", BOTH, "Cm + 9mk^2 + 18ms^2", "m + k^2 + 2s^2", "Cm + 9mk^2 + 18ms^2 + 4k^2s^2 + k^2Cs^2",
        "Cm + 9mk^2 + 18ms^2 + 11k^2s^2 + k^2Cs^2", {"k": 5, "m": 64},
    ),
    Costs(
        "fade-lite", KERNEL, "(C + G)k^2 + 9k^2", "2k^2", "Ck^2 + 9k^2 + s^2(Gk^2 + 9k^2 + k^2C)", "", {"k": 5},
        guided=True,
    ),
    Costs(
        "jbu", KERNEL, "GD + D^2 + (k^2 + G)k^2 + k^4", "2D + 2k^2 + 2",
        "s^2(GD + D^2 + k^2D + Gk^2 + 2k^4 + 3k^2 + k^2C) + 16Cs^2",
        "s^2(GD + D^2 + k^2D + Gk^2 + 2k^4 + 3k^2 + k^2C)", {"k": 7, "D": 32}, guided=True,
        note="and $k$ once a call, for the grid that distances are measured on",
    ),
    Costs(
        "lda-aqu", BOTH, r"2CD + \frac{9D}{Z} + \frac{18k^2D}{Z} + k^2D", r"2C + \frac{2D}{Z} + 2k^2",
        f"{LDA} + 4Ds^2 + 4k^2s^2(D + C)", f"{LDA} + 11k^2s^2(D + C)", {"k": 3, "Z": 2, "D": 64},
    ),
)  # fmt: skip
BY_NAME = {one.name: one for one in COSTS}


def evaluate(formula: str, values: Mapping[str, int]) -> int:
    """A formula's value.

    Raises:
        ValueError: it holds something else than the signs that a formula is written in, or an unknown symbol.
    """
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)//(\2))", formula)
    tokens = re.findall(r"\d+|[A-Za-z]|//|[-+^()]|\S", text)
    out: list[str] = []
    for token in tokens:
        operand = token.isalnum() or token == "("
        if operand and out and (out[-1].isalnum() or out[-1] == ")"):
            out.append("*")
        if token.isalpha() and token not in values:
            raise ValueError(f"{formula}: no value for {token}")
        if not (token.isalnum() or token in ("//", "+", "-", "^", "(", ")")):
            raise ValueError(f"{formula}: {token!r} is no sign of a formula")
        out.append(str(values[token]) if token.isalpha() else token.replace("^", "**"))
    return int(eval("".join(out), {"__builtins__": {}}))  # nothing but numbers and operators can be in it


def values(costs: Costs, **own: int) -> dict[str, int]:
    """The symbols' values: at C = G = 256 and s = 2 and an operator's defaults, unless given."""
    return {**AT, **costs.defaults, **own}


def comparison() -> str:
    """All operators as a table."""
    lines = [
        "| operator | family | guide | weights | at 256, ×2 | multiply-adds an input pixel (`mac`) | at 256, ×2 |",
        "| :-- | :-- | :-- | :-- | --: | :-- | --: |",
    ]
    for one in COSTS:
        known = values(one)
        weights, mac = evaluate(one.weights, known), evaluate(one.mac, known)
        guide = "yes" if one.guided else "no"
        lines.append(
            f"| `{one.name}` | {one.family} | {guide} | ${one.weights}$ | {weights:,} | ${one.mac}$ | {mac:,} |"
        )
    return "\n".join(lines)


def costs_of(names: tuple[str, ...]) -> str:
    """The costs of operators that share a section, as a table."""
    lines = ["| | weights | other parameters | `mac` | `paper` | here |", "| :-- | :-- | :-- | :-- | :-- | :-- |"]
    for name in names:
        one = BY_NAME[name]
        paper = f"${one.paper}$" if one.paper else "the same"
        here = ", ".join(f"${symbol} = {value}$" for symbol, value in one.defaults.items()) or "-"
        lines.append(f"| `{name}` | ${one.weights}$ | ${one.others}$ | ${one.mac}$ | {paper} | {here} |")
        if one.note:
            lines[-1] = lines[-1].replace(f"${one.mac}$", f"${one.mac}$ {one.note}")
    return "\n".join(lines)


def page_with_tables(page: str) -> str:
    """The page with every table between its markers: `<!-- formulas: all -->` or names, to `<!-- end -->`."""

    def filled(found: re.Match[str]) -> str:
        names = found[1].split()
        table = comparison() if names == ["all"] else costs_of(tuple(names))
        return f"<!-- formulas: {found[1]} -->\n{table}\n<!-- end -->"

    return re.sub(r"<!-- formulas: ([^>]*?) -->\n.*?<!-- end -->", filled, page, flags=re.DOTALL)


def printed(page: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of the page's tables of formulas: an operator's name, and the cells after it."""
    for table in re.findall(r"<!-- formulas: [^>]*? -->\n(.*?)<!-- end -->", page, flags=re.DOTALL):
        for row in re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, flags=re.MULTILINE):
            yield row[0], row[1].split(" | ")
