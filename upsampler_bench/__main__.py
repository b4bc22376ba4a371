"""`python -m upsampler_bench`: the command line."""

from upsampler_bench.cli import main

if __name__ == "__main__":
    main()
