"""What an upsampler is worth: a signature without training, and small networks trained with it.

`signature` and `training` know torch; `scheduler` runs them in processes; the other files report what was stored.
"""
