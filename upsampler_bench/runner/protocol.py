"""What the measuring process and its parent say to each other: one JSON object per line."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import Any

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Environment, Reading
from upsampler_bench.storage import reading as reading_from


@dataclass(frozen=True, slots=True)
class Request:
    """What one measuring process is asked to do.

    Attributes:
        cases: of one group.
        done: by the cases' keys, the metrics that were read before (by an earlier process).
        device: resolved, e.g. "cuda:0".
        settings: how to measure.
        plugins: modules or files to load first.
        specs: operators registered by the caller itself, pickled by value.
        path: where to look for modules.
    """

    cases: tuple[Case, ...]
    device: str
    settings: Settings
    done: dict[str, list[str]]
    plugins: tuple[str, ...] = ()
    specs: bytes = b""
    path: tuple[str, ...] = ()


def write_request(request: Request) -> str:
    """One line for the process's standard input."""
    return json.dumps({**asdict(request), "specs": base64.b64encode(request.specs).decode()}) + "\n"


def read_request(line: str) -> Request:
    """The request of such a line."""
    data = json.loads(line)
    settings = data.pop("settings")
    settings = Settings(**{**settings, "metrics": tuple(settings["metrics"])})
    cases = tuple(Case(**case) for case in data.pop("cases"))
    specs = base64.b64decode(data.pop("specs"))
    plugins, path = tuple(data.pop("plugins")), tuple(data.pop("path"))
    return Request(cases=cases, settings=settings, specs=specs, plugins=plugins, path=path, **data)


@dataclass(frozen=True, slots=True)
class Message:
    """What the measuring process reports while it works.

    Attributes:
        kind: "environment", "at" (about to do `step`, so that a crash can be blamed), "reading", "skipped" or
            "failed" or "incomplete" (with why in `text`), "probed" (all of a probe was tried), "conditions" (in
            `facts`), "unusable" (nothing can be measured at all), "end".
        key: the case's.
    """

    kind: str
    key: str = ""
    step: str = ""
    text: str = ""
    reading: Reading | None = None
    environment: Environment | None = None
    facts: dict[str, float | str] | None = None


def write_message(message: Message) -> bytes:
    """One line for the parent."""
    fields = {name: value for name, value in asdict(message).items() if value not in (None, "")}
    return json.dumps(fields).encode() + b"\n"


def read_message(line: bytes) -> Message:
    """The message of such a line.

    Raises:
        ValueError, KeyError, TypeError: the line is no message.
    """
    data: dict[str, Any] = json.loads(line)
    if "reading" in data:
        data["reading"] = reading_from(data["reading"])
    if "environment" in data:
        data["environment"] = Environment(**data["environment"])
    return Message(**data)
