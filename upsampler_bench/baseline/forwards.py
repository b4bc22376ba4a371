"""The process that runs under callgrind: some forwards of every operator, each marked as one count."""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from upsampler_bench.case import Case, Settings
from upsampler_bench.runner import operators
from upsampler_bench.workloads import workload
from upsampler_bench.workloads.workload import Workload

REQUEST, ANSWER = "request.json", "answer.json"
WARM, COUNTED = 2, 3


def main(folder: Path) -> None:
    """Answers the request in a folder, in the same folder: how many counts are whose, and in which order."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    settings = Settings(**{**request["settings"], "metrics": ()})
    operators.load(request["plugins"])
    operators.add_variants(request["names"])
    # All of them are recorded already: what cannot run was left out there.
    ready = [_warm(Case(**{**request["case"], "upsampler": name}), settings) for name in request["names"]]
    gc.disable()
    # Only from here on, since all before takes several times as long where instructions are followed.
    subprocess.run(["callgrind_control", "-i", "on", str(os.getpid())], check=True, capture_output=True)
    for built in ready:
        _count(built)
    versions = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
    versions["vectors"] = torch.backends.cpu.get_cpu_capability()
    answer = {"counted": request["names"], "versions": versions}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _warm(case: Case, settings: Settings) -> Workload:
    built = workload.build(case, settings, workload.shared_inputs(case, settings))
    for _ in range(WARM):
        built.forward()
    return built


def _count(built: Workload) -> None:
    callgrind: Any = torch._C
    for _ in range(COUNTED):
        callgrind._valgrind_toggle()
        out = built.forward()
        callgrind._valgrind_toggle_and_dump_stats()
        del out


if __name__ == "__main__":
    main(Path(sys.argv[1]))
