"""Which operators a side has: asked of its own interpreter. Run as `python -m upsampler_bench.compare.registered`."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

from upsampler_bench.compare.measuring import Corner, SideError
from upsampler_bench.runner.process import environment

LAST_LINES = 6


def names(corner: Corner, device: str = "") -> tuple[str, ...]:
    """The operators of a side; of a device such as "cuda:0", those that run on its kind.

    Raises:
        SideError: its code cannot be imported.
    """
    asked = json.dumps({"plugins": corner.plugins, "path": corner.path, "device": device})
    command = [corner.side.python or sys.executable, "-m", "upsampler_bench.compare.registered"]
    done = subprocess.run(
        command, input=asked, capture_output=True, text=True, cwd=corner.side.cwd or None,
        env=environment(corner.side), check=False,
    )  # fmt: skip
    if done.returncode:
        *before, last = done.stderr.strip().splitlines()[-LAST_LINES:] or ["it ended without a word"]
        raise SideError("\n".join([f"{corner.name} cannot be loaded: {last}", *before]))
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return tuple(found)


def main() -> None:
    """Answers on the last line of the output."""
    asked = json.loads(sys.stdin.read())
    sys.path[:0] = asked["path"]
    warnings.simplefilter("ignore")
    from upsampler_bench.runner import operators

    operators.load(asked["plugins"])
    print(json.dumps(operators.names(asked["device"])))


if __name__ == "__main__":
    main()
