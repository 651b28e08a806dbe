"""What Ray's idle workers import as they start, so that trials find it done.

Imports make no garbage, and the collector goes through all that they make again and again: it waits until they are over
and then leaves what they made alone.
"""

import gc

gc.disable()
import torch  # noqa: E402, F401

import hw2tune.train.replicate  # noqa: E402
import hw2tune.tune.trial  # noqa: E402, F401

gc.freeze()
gc.enable()
