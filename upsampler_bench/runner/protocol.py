"""What the measuring process and its parent say to each other: one JSON object per line."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from upsampler_bench.case import Case, Settings
from upsampler_bench.results import Environment, Reading, Scene, Training
from upsampler_bench.text import cleaned

# A second line to the measuring process: stop after the call you are in, and send what you have.
INTERRUPT = "interrupt\n"
# The exit code of a measuring process whose device no longer answers, after it has said why.
DEAD_DEVICE = 70


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
        question: a function that is called with each case instead of measuring it, as "module:function"; empty: none.
        arguments: of that function, besides the case.
        measurer: a function that measures the cases, given the request and where messages go, as "module:function";
            empty: they are timed, counted and probed by `runner.group`.
        timed_only: an earlier process checked the outputs and read what is not timed.
        deadline: when measuring is to end, on the clock that all processes share (`time.monotonic`); 0: never.
        linger: seconds that the process lives at least, so that what ends it late does so before it ends by itself.
        token: begins each message, so that nothing an operator writes to any pipe is taken for one.
    """

    cases: tuple[Case, ...]
    device: str
    settings: Settings
    done: dict[str, list[str]]
    plugins: tuple[str, ...] = ()
    specs: bytes = b""
    path: tuple[str, ...] = ()
    question: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    measurer: str = ""
    timed_only: bool = False
    deadline: float = 0.0
    linger: float = 0.0
    token: str = field(default_factory=lambda: secrets.token_hex(8))


def write_request(request: Request) -> str:
    """One line for the process's standard input."""
    return json.dumps({**asdict(request), "specs": base64.b64encode(request.specs).decode()}) + "\n"


def read_request(line: str) -> Request:
    """The request of such a line."""
    return msgspec.convert(json.loads(line), Request)


@dataclass(frozen=True, slots=True)
class Message:
    """What the measuring process reports while it works.

    Attributes:
        kind: "start" (about to load the plug-in in `text`, if any), "environment", "at" (about to do `step`, so that
            a crash can be blamed), "reading", "training" (in `training`, with its scenes), "skipped" or "failed" or
            "incomplete" (with why in `text`), "probed" (all of a probe was tried), "conditions" (in `facts`), "answer"
            (to the request's question, in `answer`), "waiting", "unusable" (nothing can be measured at all), "end".
        key: the case's.
    """

    kind: str
    key: str = ""
    step: str = ""
    text: str = ""
    reading: Reading | None = None
    environment: Environment | None = None
    facts: dict[str, float | str] | None = None
    answer: Any = None
    training: Training | None = None
    scenes: tuple[Scene, ...] = ()


def write_message(message: Message, token: str) -> bytes:
    """One line for the parent."""
    fields = {name: value for name, value in asdict(message).items() if value not in (None, "", ())}
    return f"{token}{json.dumps(fields)}\n".encode()


def read_message(line: bytes, token: str) -> Message:
    """The message of such a line.

    Raises:
        ValueError: the line is no message.
    """
    if not line.startswith(token.encode()):
        raise ValueError("expected a message")
    return msgspec.convert(cleaned(json.loads(line[len(token) :])), Message)
