"""The PyTorch forms of the functions: memory-lean in eager mode, portable while exporting or compiling."""
