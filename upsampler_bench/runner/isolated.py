"""Questions about operators, answered case by case in a measuring process: a crash or a hang costs one answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import BenchError, PlanError
from upsampler_bench.runner.process import HERE, Process, Side, follow
from upsampler_bench.runner.protocol import Message, Request

T = TypeVar("T")


def ask(
    question: str,
    cases: Sequence[Case],
    kind: Any,
    lost: Callable[[str], T],
    *,
    plugins: Sequence[str] = (),
    specs: bytes = b"",
    side: Side = HERE,
    path: Sequence[str] | None = None,
    begin: Callable[[Case], None] = lambda case: None,
) -> list[T]:
    """The answers to one question about each case.

    Args:
        question: a function of a case, as "module:function"; its answer consists of dataclasses and plain data.
        cases: of which it is asked.
        kind: the type of an answer.
        lost: the answer of a case that ended the process or did not respond, from the reason.
        plugins, specs: loaded first.
        side, path: whose code, and where to look for plug-ins; by default ours.
        begin: called before each case.

    Raises:
        PlanError: a plug-in cannot be loaded.
        BenchError: the process cannot start.
        KeyboardInterrupt: Ctrl-C.
    """
    by_key = {case.key: case for case in cases}
    answers: dict[str, T] = {}

    def receive(message: Message) -> None:
        if message.kind == "unusable":
            raise PlanError(message.text)
        if message.kind == "at":
            begin(by_key[message.key])
        elif message.kind == "answer":
            answers[message.key] = msgspec.convert(message.answer, kind)

    folders = (*filter(None, sys.path), os.getcwd()) if path is None else tuple(path)
    settings = Settings(malloc="default")
    request = Request(tuple(cases), "cpu", settings, {}, tuple(plugins), specs, folders, question=question)
    while left := tuple(case for key, case in by_key.items() if key not in answers):
        ending = follow(Process(replace(request, cases=left), side), receive, finish_call=False)
        if ending.last.kind == "start":
            error = ending.errors.rpartition("\n")[2]
            raise BenchError(f"the measuring process could not start: {error or ending.reason()}")
        if ending.last.kind == "at":
            answers.setdefault(ending.last.key, lost(ending.reason()))
    return [answers[key] for key in by_key]
