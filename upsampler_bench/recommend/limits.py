"""Limits read from text ('1.5x', '20ms', '200MiB', '50K'), and names of capabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsampler_bench import units
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.results import MetricInfo
from upsampler_bench.units import Unit

NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ×]*)", re.IGNORECASE)
RATIO = ("x", "×")
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
BYTES = {
    "b": 1.0,
    "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40,
    "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}  # fmt: skip
COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
TIMES, SIZES = "20ms, 0.02s or 1.5x", "200MiB, 1.5GiB, 200MB"
GIGA = {"": 1e9, "g": 1e9, "gmac": 1e9, "gmacs": 1e9, "gflops": 1e9}


@dataclass(frozen=True, slots=True)
class Quantity:
    """What can be limited, and how a limit's text is read.

    Attributes:
        metric: the name of the metric.
        words: what it is called in sentences.
        heading: of a column.
        base: the metric's base unit.
        units: the size of each accepted unit in base units.
        example: for messages.
        relative: whether a ratio to the baseline is accepted.
    """

    metric: str
    words: str
    heading: str
    base: str
    units: Mapping[str, float]
    example: str
    relative: bool = True

    @property
    def unit(self) -> Unit:
        """The unit for people."""
        return units.unit(self.base)


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest value of a metric: in its base unit, or, if relative, as a ratio to the baseline's."""

    metric: str
    most: float
    relative: bool


# By the name in options and budget files, in the order in which limits are printed.
QUANTITIES = {
    "latency": Quantity("latency", "latency", "latency", "s", SECONDS, TIMES),
    "train-latency": Quantity("train_latency", "training time", "train", "s", SECONDS, TIMES),
    "memory": Quantity("inference_memory", "memory", "memory", "B", BYTES, f"{SIZES} or 2x"),
    "train-memory": Quantity("train_memory", "training memory", "train mem.", "B", BYTES, f"{SIZES} or 2x"),
    "params": Quantity("params_all", "parameters", "params", "1", COUNTS, "50K or 1M", relative=False),
    "gflops": Quantity("flops_mac", "multiply-adds", "MACs", "MAC", GIGA, "2.5", relative=False),
}
BY_METRIC = {quantity.metric: quantity for quantity in QUANTITIES.values()}


def parse(name: str, text: str, label: str) -> Limit:
    """The limit that a text gives for one of QUANTITIES.

    Args:
        label: what the user knows it by, for messages: an option, or a line of a file.

    Raises:
        PlanError: the text cannot be read; the message shows one that can.
    """
    quantity = QUANTITIES[name]
    number, unit = _split(label, text, quantity.units, quantity.example, relative=quantity.relative)
    if unit in RATIO:
        return Limit(quantity.metric, number, relative=True)
    return Limit(quantity.metric, number * quantity.units[unit], relative=False)


def memory(text: str, label: str = "--memory") -> int:
    """Bytes from text such as "24GiB".

    Raises:
        PlanError: the text cannot be read.
    """
    number, unit = _split(label, text, BYTES, SIZES, relative=False)
    return math.floor(number * BYTES[unit])


def _split(
    label: str, text: str, units: Mapping[str, float], example: str, *, relative: bool
) -> tuple[float, str]:  # fmt: skip
    match = NUMBER.fullmatch(text.strip())
    number, unit = (float(match[1]), match[2].casefold()) if match else (0.0, "")
    accepted = (*units, *(RATIO if relative else ()))
    if not 0 < number < math.inf or unit not in accepted:
        raise PlanError(f"{label} is {text!r}; expected a number above 0 with its unit, such as {example}")
    return number, unit


def capabilities(words: Sequence[str], known: Sequence[MetricInfo], others: Sequence[str] = ()) -> tuple[str, ...]:
    """The capabilities that words name: by the metric's name or title, or an unambiguous beginning of its name.

    Args:
        words: as the user wrote them, e.g. "onnx".
        known: the capabilities of a run.
        others: names of capabilities that are in no run.

    Raises:
        PlanError: there is no such capability; the message lists them.
    """
    titles = {info.title.casefold(): info.name for info in known}
    names = tuple(dict.fromkeys([*(info.name for info in known), *others]))
    return tuple(dict.fromkeys(_capability(word, titles, names) for word in words))


def _capability(word: str, titles: Mapping[str, str], names: tuple[str, ...]) -> str:
    name = word.replace("-", "_")
    if name in names:
        return name
    if word.casefold() in titles:
        return titles[word.casefold()]
    beginnings = [known for known in names if known.startswith(name.casefold())]
    if len(beginnings) == 1:
        return beginnings[0]
    hint = nearest(name, names)
    listed = "" if hint.startswith("there are") else f" There are {', '.join(names)}"
    raise PlanError(f"no capability {word!r}; {hint}{listed}")
