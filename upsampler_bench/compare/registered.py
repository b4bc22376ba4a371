"""Which operators a side has, answered by its own interpreter: `python -m upsampler_bench.compare.registered`."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

from upsampler_bench.compare.process import Side, SideError
from upsampler_bench.runner.process import environment

ERROR_LINES = 6


def names(side: Side, device: str = "") -> tuple[str, ...]:
    """The operators of a side; given a device such as "cuda:0", those that run on its kind.

    Raises:
        SideError: its code cannot be imported.
    """
    request = json.dumps({"plugins": side.plugins, "path": side.path, "device": device})
    command = [side.code.python or sys.executable, "-m", "upsampler_bench.compare.registered"]
    done = subprocess.run(
        command, input=request, capture_output=True, text=True, cwd=side.code.cwd or None,
        env=environment(side.code), check=False,
    )  # fmt: skip
    if done.returncode:
        *before, last = done.stderr.strip().splitlines()[-ERROR_LINES:] or ["it ended without a message"]
        raise SideError("\n".join([f"{side.name} cannot be loaded: {last}", *before]))
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Prints the names as the last line of the output."""
    request = json.loads(sys.stdin.read())
    sys.path[:0] = request["path"]
    warnings.simplefilter("ignore")
    from upsampler_bench.runner import operators

    operators.load(request["plugins"])
    print(json.dumps(operators.names(request["device"])))


if __name__ == "__main__":
    main()
