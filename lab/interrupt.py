"""Ctrl-C: a wish to stop after the step under way; a second one interrupts at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """Whether the run was asked to stop, by Ctrl-C."""

    asked: bool = False


@contextmanager
def ctrl_c() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a wish to stop after the step under way; a second one interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        # Straight to the descriptor: a handler may interrupt a print that is under way.
        os.write(2, b"stopping after this step, with a checkpoint (Ctrl-C again: at once)\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
