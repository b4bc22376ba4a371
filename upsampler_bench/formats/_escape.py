"""What each markup language takes as its own, written so that it stands for itself."""

from __future__ import annotations

MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\|*_`<>[]#~"} | {"\n": " ", "\r": " "})
LATEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "×": r"$\times$",
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "−": "$-$",
        "µ": r"\textmu{}",
        "δ": r"$\delta$",
        "→": r"$\rightarrow$",
        "²": r"\textsuperscript{2}",
        "³": r"\textsuperscript{3}",
        "⁹": r"\textsuperscript{9}",
        "–": "--",
        "…": r"\dots{}",
        "\n": " ",
    }
)


def markdown(text: str) -> str:
    """A text of one line for Markdown."""
    return text.translate(MARKDOWN)


def latex(text: str) -> str:
    """A text of one line for LaTeX."""
    return text.translate(LATEX)
