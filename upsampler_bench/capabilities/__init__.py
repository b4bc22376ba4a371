"""What works, tested: one probe per file, a metric of the mode "probe" (see `upsampler_bench.metrics`)."""
