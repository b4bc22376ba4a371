"""An engine whose session is never ready."""

import time

DESCRIPTION = "hangs while it is built"
OPERATORS = "torch"
IS_ENGINE = True


def prepare(module, inputs):
    time.sleep(3600)
