"""A noisy neighbour: bursts of arithmetic and of memory traffic, at random times.

Run as `python -m studies.compare_rule.neighbour SEED`; ends when its standard input closes.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time

import torch

BURST_SECONDS, PAUSE_SECONDS = 2.0, 1.0
WORKERS = 1.5
SIDE, ELEMENTS = 384, 8 * 2**20


def main() -> None:
    """Works in bursts until the parent closes the pipe."""
    torch.set_num_threads(1)
    for number in range(round(WORKERS * (os.cpu_count() or 1))):
        threading.Thread(target=_work, args=(int(sys.argv[1]) + number,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def _work(seed: int) -> None:
    chance = random.Random(seed)
    matrix, memory = torch.rand(SIDE, SIDE), torch.zeros(ELEMENTS)
    while True:
        time.sleep(chance.expovariate(1 / PAUSE_SECONDS))
        end = time.monotonic() + chance.expovariate(1 / BURST_SECONDS)
        arithmetic = chance.random() < 0.5
        while time.monotonic() < end:
            torch.mm(matrix, matrix) if arithmetic else memory.add_(1.0)


if __name__ == "__main__":
    main()
