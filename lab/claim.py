"""Who is at work in a folder: one process at a time, by a lock that ends when the process does."""

import os
import sys
from pathlib import Path


def locked(folder: Path) -> int | None:
    """A descriptor that holds the lock on `folder` until closed; -1 where there are no locks; None if it is taken."""
    if sys.platform == "win32":
        return -1
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system without locks
        os.close(descriptor)
        return -1
    return descriptor


def is_abandoned(folder: Path) -> bool:
    """Whether no process has claimed `folder`; False where that cannot be known."""
    descriptor = locked(folder)
    if descriptor is None or descriptor < 0:
        return False
    os.close(descriptor)
    return True
