"""`python -m upsampler_bench`: the command line."""

import sys

if not getattr(sys.flags, "safe_path", False):
    sys.path.append(sys.path.pop(0))  # the current folder, where a torch.py may lie

from upsampler_bench.cli import main

if __name__ == "__main__":
    main()
