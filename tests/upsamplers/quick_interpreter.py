"""Triton's interpreter without work whose result it drops: more than half of its time, and no value depends on it."""

from dataclasses import replace
from typing import Any

import triton.language as tl
from triton.runtime import interpreter


def hasten() -> None:
    """Does nothing to an interpreter that is built in another way than those of triton 3.9."""
    builder, scope = interpreter.interpreter_builder, getattr(interpreter, "_LangPatchScope", None)
    # Each sum of integers is computed once more in 64 bits, for an assertion that runs in debug mode alone.
    if not builder.options.debug:
        builder.options = replace(builder.options, sanitize_overflow=False)
    if scope is None:
        return
    patch = interpreter._patch_lang

    def patch_what_is_not(function: Any) -> Any:
        """Each call of a function by a kernel would look through the language for what the kernel has patched."""
        languages = [value for value in function.__globals__.values() if value is tl or value is tl.core]
        return patch(function) if any(tl.core.is_builtin(language.load) for language in languages) else scope()

    interpreter._patch_lang = patch_what_is_not
