"""Texts that users read are in the words of the field."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What we once wrote, and what an engineer of the field writes instead.
BANNED = {
    r"\b(hold|holds|held|holding) (\w+ ){0,3}against\b": "compare, check",
    r"\btold\b|\btells of\b|\bsays of\b": "report, print, list",
    r"\bcame or went\b|\bcome or gone\b": "added or removed",
    r"\bnot (a )?whole\b|\bwhole or not at all\b": "complete, incomplete",
    r"\banew\b": "again",
    r"\bgone\b": "removed, missing",
    r"\bbut where\b|\bwherever\b": "except where, where",
    r"\bof no account\b": "ignored",
    r"\b(bytes|multiply-adds|GB) a second\b": "per second",
    r"\bcr(y|ies|ied) wolf\b": "false alarm",
    r"\bsign of life\b": "no response",
    r"\b(no surer|surely|for sure)\b": "statistically significant",
    r"\b(contest|bout|duel|fought|teller|keeper|taker|lesson|yes-man)s?\b": "comparison, side, listener, ...",
    r"\b(in a|a|own|every|each|this) host\b|\bhosts\b": "model",
    r"\bbytes moved\b|\bleast bytes\b": "memory traffic, minimum traffic",
    r"\bheld after\b": "saved for backward",
    r"--(host|cap|precision|step-limit)\b": "--model, --max-time, --target-ci, --timeout",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in BANNED.items()}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "Makefile",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "upsampler_bench").rglob("*.j2"),
    *(ROOT / "upsampler_bench").rglob("*.js"),
    *(ROOT / "upsampler_bench" / "plans").glob("*.toml"),
]
SOURCES = [path for package in ("upsamplers", "upsampler_bench", "studies") for path in (ROOT / package).rglob("*.py")]


def texts(path):
    """What a file says to people: a page's lines, or the strings and docstrings of Python code, with their lines."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def banned(path):
    for line, text in texts(path):
        for pattern, instead in PATTERNS.items():
            if match := pattern.search(" ".join(text.split())):
                yield f"{path.relative_to(ROOT)}:{line}: {match[0]!r}; rather: {instead}"


def test_texts_are_in_the_words_of_the_field():
    assert [line for path in (*PAGES, *SOURCES) for line in banned(path)] == []


@pytest.mark.parametrize("text", ["Held against the paper", "operators that came or went", "12 bytes a second"])
def test_a_banned_word_is_found(text):
    assert any(pattern.search(text) for pattern in PATTERNS)
