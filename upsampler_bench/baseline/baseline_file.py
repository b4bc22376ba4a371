# torch-free
"""The committed file of deterministic metrics: its types, reading and writing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from upsampler_bench.errors import ResultsError
from upsampler_bench.storage import write_whole
from upsampler_bench.text import cleaned

SCHEMA = 1
FILE = Path("reports/baselines/cpu.json")
COMMAND = "upsampler-bench baseline update"


@dataclass(frozen=True, slots=True)
class OperatorBaseline:
    """The deterministic metrics of one operator.

    Attributes:
        counts: multiply-adds, parameters and bytes, by the metric's name.
        output, gradient: see `signature.signature`.
        operations: ATen operators dispatched in one forward, by name.
        uncounted: operations for which no FLOP formula is known.
        failed: why nothing could be recorded; begins with "wrong" if the output or a gradient is wrong.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    output: Mapping[str, float] = field(default_factory=dict)
    gradient: Mapping[str, float] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)
    uncounted: str = ""
    failed: str = ""

    @property
    def operations_total(self) -> int:
        """The operations of one forward."""
        return sum(self.operations.values())


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a change is compared with.

    Attributes:
        condition: the shape, scale, dtype, layout and device, as in `Case.condition`.
        torch: the public version, such as "2.13.0"; operations depend on it.
        operators: by name.
        seed: of inputs and weights.
    """

    condition: str
    torch: str
    operators: Mapping[str, OperatorBaseline]
    seed: int = 0
    schema: int = SCHEMA


def update_command(path: Path, names: Sequence[str] = (), plugins: Sequence[str] = ()) -> str:
    """The command that writes this file, of these operators, with these plug-ins."""
    options = [f"-u {shlex.quote(name)}" for name in names] + [f"--plugin {shlex.quote(plugin)}" for plugin in plugins]
    options += [f"--file {shlex.quote(str(path))}"] if path != FILE else []
    return " ".join([COMMAND, *options])


def save(baseline: Baseline, path: Path) -> None:
    """Writes the file with sorted keys and one value per line, so that its diff shows what changed.

    Raises:
        OutputError: the file cannot be written.
    """
    data = asdict(baseline)
    for name, operator in baseline.operators.items():
        values = {key: value for key, value in asdict(operator).items() if value not in ("", {})}
        if operator.operations:
            values["operations_total"] = operator.operations_total
        data["operators"][name] = values
    write_whole(path, (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def load(path: Path, names: Sequence[str] = (), plugins: Sequence[str] = ()) -> Baseline:
    """Reads a baseline; names and plug-ins are for the command that an error gives.

    Raises:
        ResultsError: the file is missing, is not a baseline, or has another schema.
    """
    update = update_command(path, names, plugins)
    remedy = f"choose another --file, or delete this one and run '{update}'"
    try:
        data = cleaned(msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError:
        raise ResultsError(f"no baseline at {path}; create it with '{update}'") from None
    except (OSError, ValueError) as problem:  # msgspec's errors are ValueErrors
        raise ResultsError(f"cannot read {path} as a baseline: {problem}; {remedy}") from problem
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA:
        raise ResultsError(f"{path} is not a baseline of schema {SCHEMA}: its schema is {schema!r}; {remedy}")
    try:
        return msgspec.convert(data, Baseline)
    except msgspec.ValidationError as problem:
        raise ResultsError(f"{path} is incomplete or corrupt: {problem}; {remedy}") from problem
