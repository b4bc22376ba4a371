"""Puts an operator in the place of a model's own upsampling: of its modules, and of its calls of F.interpolate."""
