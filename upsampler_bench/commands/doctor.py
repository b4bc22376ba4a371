"""doctor: is this machine fit to measure on?"""

from __future__ import annotations

from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import Device


def doctor(device: Device = "auto") -> None:
    """Check whether this machine is fit to measure on, and say what to do about it."""
    from upsampler_bench.device import doctor as examination

    out = console()
    for finding in examination.examine(device or "auto"):
        mark, style = ("!", "yellow") if finding.advice else (" ", None)
        line = f"{mark} {finding.check + ':':18s}{finding.value}"
        out.print(line, style=style, soft_wrap=not out.is_terminal)
        if finding.advice:
            out.print(f"  {'':18s}{finding.advice}")
