"""The tables and figures of the DySample paper (arXiv 2308.15085), the runs they need, and our numbers for them."""
