"""Plain-PyTorch mathematics that two or more operators share."""
