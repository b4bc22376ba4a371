"""`upsamplers.replace`: puts an operator in place of a model's own upsampling, modules and calls of F.interpolate."""
