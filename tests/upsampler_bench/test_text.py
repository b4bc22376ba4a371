"""Text of strangers: cleaned where it enters, escaped by each format."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_run import sample_run

from upsampler_bench import formats, report, storage
from upsampler_bench.runner.protocol import Message, read_message, write_message
from upsampler_bench.text import MOST, cleaned

# Escape, C1 control, NUL, bidirectional override, lone surrogate, carriage return.
LETTERS = ["\x1b[31m", "\x9b", "\x00", "\u202e", "\ud800", "\r"]
FORMULAS = ["=1+1", "+cmd", "-cmd", "@sum", "\tx"]
MARKUP = ["<script>x</script>", r"\input{/etc/passwd}", r"\write18{x}", "[1]", "*", "$x^2$"]


@given(st.text())
def test_cleaned_text_has_no_letter_that_moves_a_terminal(text):
    assert all(letter.isprintable() or letter == "\n" for letter in cleaned(text))
    cleaned(text).encode()


def test_cleaned_text_is_bounded_and_keeps_what_is_printable():
    assert cleaned("n" * 10**6) == "n" * MOST + "…"
    assert cleaned({"größe ×2\n": ["a", 1.0, None]}) == {"größe ×2\n": ["a", 1.0, None]}
    assert cleaned("a\x1b[0mb") == r"a\x1b[0mb"


@pytest.mark.parametrize("text", LETTERS, ids=ascii)
def test_a_message_is_cleaned_when_it_is_read(text):
    message = read_message(write_message(Message("failed", "k", text=text), "ab"), "ab")
    assert message.text.isprintable()


def hostile_run(tmp_path, text):
    """A stored run with the text in every place for a stranger's."""
    run = sample_run()
    rename = {"carafe": f"{text}carafe"}
    rows = [
        replace(row, case=row.case.of(rename.get(row.case.upsampler, row.case.upsampler)), reason=row.reason and text)
        for row in run.measurements
    ]
    environment = replace(run.environment, device_name=f"{text}device", versions={"torch": text, text: "1"})
    run = replace(run, measurements=tuple(rows), environment=environment)
    return storage.load(storage.save(run, tmp_path))


# What each format could take for more than text. Nothing is profiled here, so that there is no trace.
PRINTED = [
    *(("".join(LETTERS), name) for name in formats.names() if name not in ("png", "pdf", "trace")),
    *((text, "csv") for text in FORMULAS),
    *((text, name) for text in MARKUP for name in ("markdown", "html", "latex")),
]


@pytest.mark.parametrize(("text", "name"), PRINTED, ids=lambda text: ascii(text)[:20])
def test_no_format_prints_a_stranger_s_text_as_anything_but_text(tmp_path, name, text):
    files = formats.write(report.from_run(hostile_run(tmp_path, text)), tmp_path / "report", [name])
    for file in files:
        content = file.read_text(encoding="utf-8")
        assert not set("\x1b\x9b\x00\u202e") & set(content)
        if name in ("markdown", "html"):
            assert "<script>x" not in content
        if name == "latex":
            assert r"\input{" not in content
            assert r"\write18" not in content
            assert not any(line.startswith(("[", "*")) for line in content.splitlines())
        if name == "csv":
            cells = [cell for row in csv.reader(io.StringIO(content)) for cell in row]
            assert not any(cell.startswith(tuple("=@\t\r")) for cell in cells)
            assert [cell for cell in cells if cell.startswith(("+", "-")) and not is_number(cell)] == []


def is_number(text):
    try:
        return float(text.rstrip(" %KMG").replace(",", "")) is not None
    except ValueError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("text", ["$x^2$", "$", "n" * 10**5], ids=lambda text: text[:5])
def test_pictures_draw_a_name_that_looks_like_mathematics_or_is_long(tmp_path, text):
    formats.write(report.from_run(hostile_run(tmp_path, text)), tmp_path / "report", ["png"])
    assert (tmp_path / "report" / "panel.png").exists()
