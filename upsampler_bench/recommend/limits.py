"""What is asked of an operator, read from text: '1.5x', '20ms', '200MiB', '50K'; and the names of capabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.results import MetricInfo

NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ×]*)", re.IGNORECASE)
RATIO = ("x", "×")
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
BYTES = {"b": 1.0} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("ib", 1024.0), ("b", 1000.0))
}
COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
GIGA = {"": 1e9, "g": 1e9, "gmac": 1e9, "gmacs": 1e9, "gflops": 1e9}


@dataclass(frozen=True, slots=True)
class Quantity:
    """How an option's text is read.

    Attributes:
        metric: the name of the metric that it limits.
        units: what one of each unit is in the metric's base unit.
        example: for messages.
        relative: whether a ratio to the baseline is accepted.
    """

    metric: str
    units: Mapping[str, float]
    example: str
    relative: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a metric may be: in its base unit, or, if relative, as a ratio to the baseline's."""

    metric: str
    most: float
    relative: bool


MEMORY = Quantity("inference_memory", BYTES, "200MiB, 1.5GiB or 200MB")
# By what is limited, in the order in which limits are told.
QUANTITIES = {
    "latency": Quantity("latency", SECONDS, "20ms, 0.02s or 1.5x"),
    "train-latency": Quantity("train_latency", SECONDS, "20ms, 0.02s or 1.5x"),
    "memory": Quantity("inference_memory", BYTES, "200MiB, 1.5GiB, 200MB or 2x"),
    "train-memory": Quantity("train_memory", BYTES, "200MiB, 1.5GiB, 200MB or 2x"),
    "params": Quantity("params_all", COUNTS, "50K or 1M", relative=False),
    "gflops": Quantity("flops_mac", GIGA, "2.5", relative=False),
}


def parse(name: str, text: str, called: str) -> Limit:
    """A limit from what is limited, one of QUANTITIES, and what was given for it.

    Args:
        called: what the user calls it, for messages: an option, or a line of a file.

    Raises:
        PlanError: the text is not understood; says what would be.
    """
    quantity = QUANTITIES[name]
    number, unit = _split(called, text, quantity)
    if unit in RATIO and quantity.relative:
        return Limit(quantity.metric, number, relative=True)
    return Limit(quantity.metric, number * quantity.units[unit], relative=False)


def memory(text: str, called: str = "--memory") -> int:
    """Bytes from text such as "24GiB".

    Raises:
        PlanError: the text is not understood.
    """
    number, unit = _split(called, text, Quantity("", BYTES, MEMORY.example, relative=False))
    return math.floor(number * BYTES[unit])


def needed(asked: Sequence[str], known: Sequence[MetricInfo], others: Sequence[str] = ()) -> tuple[str, ...]:
    """The capabilities that these words name: by the metric's name or title, or the beginning of one name alone.

    Args:
        asked: as the user wrote them, e.g. "onnx".
        known: the capabilities of a run.
        others: names of capabilities that no run tells of.

    Raises:
        PlanError: a word names none; says which there are.
    """
    titles = {one.title.casefold(): one.name for one in known}
    names = tuple(dict.fromkeys([*(one.name for one in known), *others]))
    return tuple(dict.fromkeys(_needed(word, titles, names) for word in asked))


def _needed(word: str, titles: Mapping[str, str], names: tuple[str, ...]) -> str:
    name = word.replace("-", "_")
    if name in names:
        return name
    if word.casefold() in titles:
        return titles[word.casefold()]
    beginning = [one for one in names if one.startswith(name.casefold())]
    if len(beginning) == 1:
        return beginning[0]
    meant = nearest(name, names)
    listed = "" if meant.startswith("there are") else f" There are {', '.join(names)}"
    raise PlanError(f"no capability {word!r}; {meant}{listed}")


def _split(called: str, text: str, quantity: Quantity) -> tuple[float, str]:
    found = NUMBER.fullmatch(text.strip())
    number, unit = (float(found[1]), found[2].casefold()) if found else (0.0, "")
    accepted = (*quantity.units, *(RATIO if quantity.relative else ()))
    if not 0 < number < math.inf or unit not in accepted:
        raise PlanError(f"{called} is {text!r}; expected a number above 0 with its unit, such as {quantity.example}")
    return number, unit
