"""Imports of Ray's idle workers as they start, so that trials find them done.

Imports make no garbage, and the collector goes through all that they make again and again: it waits until they are over
and then leaves what they made alone.
"""

import gc
import signal

signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # Ray ends a worker by it; see workarounds.OutOfReach
gc.disable()
import torch  # noqa: E402, F401

import hw2tune.execution.trainable  # noqa: E402
import hw2tune.train.trainer  # noqa: E402, F401

gc.freeze()
gc.enable()
