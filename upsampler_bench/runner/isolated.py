"""Questions about operators, answered case by case in a measuring process: a crash or a hang costs one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from upsampler_bench import plan
from upsampler_bench.case import Case
from upsampler_bench.errors import BenchError, PlanError
from upsampler_bench.runner import operators
from upsampler_bench.runner.operators import Operator
from upsampler_bench.runner.process import HERE, Process, Side, follow, searched
from upsampler_bench.runner.protocol import Message, Request

T = TypeVar("T")


def ask(
    question: str,
    cases: Sequence[Case],
    kind: Any,
    lost: Callable[[str], T],
    *,
    arguments: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
    specs: bytes = b"",
    side: Side = HERE,
    path: Sequence[str] | None = None,
    timeout: float | None = None,
    begin: Callable[[Case], None] = lambda case: None,
) -> list[T]:
    """The answers to one question about each case.

    Args:
        question: a function of a case, as "module:function"; its answer consists of dataclasses and plain data.
        cases: of which it is asked.
        kind: the type of an answer.
        lost: the answer of a case that ended the process or did not respond, from the reason.
        arguments: of the function, besides the case.
        plugins, specs: loaded first.
        side, path: whose code, and where to look for plug-ins; by default ours.
        timeout: seconds that loading a plug-in, and the answer to one case, may take; None: as in a run.
        begin: called before each case.

    Raises:
        PlanError: a plug-in cannot be loaded, or a case asks for what does not exist, or the timeout is not above 0.
        BenchError: the process cannot start, or a plug-in ended it or did not respond.
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

    folders = searched(plugins, cases) if path is None else tuple(path)
    # A plan refuses a timeout that is not above 0.
    settings = plan.parse({"malloc": "default", **({} if timeout is None else {"timeout": timeout})}).settings
    request = Request(
        tuple(cases), "cpu", settings, done={}, plugins=tuple(plugins), specs=specs, path=folders, question=question,
        arguments={**(arguments or {})},
    )  # fmt: skip
    while left := tuple(case for key, case in by_key.items() if key not in answers):
        ending = follow(Process(replace(request, cases=left), side), receive, finish_call=False)
        if ending.last.kind == "start":
            raise BenchError(ending.why_not_started())
        if ending.last.kind == "at":
            answers.setdefault(ending.last.key, lost(ending.cause()))
    return [answers[key] for key in by_key]


def registered(
    variants: Sequence[str] = (),
    *,
    plugins: Sequence[str] = (),
    side: Side = HERE,
    path: Sequence[str] | None = None,
    timeout: float | None = None,
) -> tuple[Operator, ...]:
    """Every operator that there is, in the registry's order; the arguments are those of `ask`.

    Plug-ins are loaded in a measuring process. Where there are none, this process asks its own registry.

    Args:
        variants: names, of which operators with options such as "dysample[groups=1]" are added.

    Raises:
        PlanError: a plug-in cannot be loaded, or an option is not written as key=value.
        BenchError: a plug-in ended the process or did not respond.
    """
    if not plugins and side is HERE:
        operators.add_variants(variants)
        return operators.registered()
    answers: list[tuple[Operator, ...] | str] = ask(
        "upsampler_bench.runner.operators:registered_for", [Case(name) for name in variants or ("",)],
        tuple[Operator, ...], str,
        plugins=plugins, specs=operators.pickled(operators.names()) if side is HERE else b"", side=side, path=path,
        timeout=timeout,
    )  # fmt: skip
    if isinstance(answers[0], str):
        raise BenchError(f"operators cannot be loaded: {answers[0]}")
    return answers[0]
