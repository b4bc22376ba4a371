"""The figures that the DySample paper printed, the runs they need, and ours beside theirs."""
