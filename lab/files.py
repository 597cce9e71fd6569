"""Files that are whole or absent: written under a temporary name, synced to disk, then renamed into place."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from lab.errors import InputError

PARTIAL = ".part"  # the ending of a temporary name: what a killed process may leave behind, and may be deleted
ANEW = "the run is not whole: train it anew, from its config.yaml"
_DAY = 86_400  # seconds, in which whoever makes something under a temporary name has long ended


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes `path`'s place when the block ends well; else `path` stays as it was.

    A link stays, and the file that it leads to is replaced.  What is no file, as a device or a pipe, is written to.
    """
    if (path.exists() and not path.is_file()) or _is_stdout(path):
        with _opened(path) as file:
            yield file
        return
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{token_hex(4)}{PARTIAL}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # the name that whoever reads it knows
        raise
    sync_folder(place.parent)


def _is_stdout(path: Path) -> bool:
    """Whether `path` is where standard output goes, be it a file: the shell keeps that open, and may append to it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:  # no such file, or standard output is closed
        return False


def _opened(path: Path) -> BinaryIO:
    """Open what cannot be replaced for writing; standard output where it stands, after what was printed before."""
    if not _is_stdout(path):
        return open(path, "wb")
    sys.stdout.flush()
    return open(os.dup(1), "wb")


def probe_writing(folder: Path) -> None:
    """Make a file, gone at once, in `folder` or in what is there of its path.  Raises: OSError, as writing would."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    temporary = there / f".{token_hex(4)}{PARTIAL}"
    temporary.touch()
    temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, atomically and durably."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with the line ends it has, atomically and durably."""
    write_bytes(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, where the system can (Windows cannot open a folder)."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clear_away(folder: Path) -> None:
    """Delete what killed processes left half made in `folder`: hidden, under a temporary name, and a day old."""
    for left in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):  # another process clears it away too
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def facts_in(file: Path) -> dict[str, Any]:
    """The facts that a file of JSON holds.  Raises InputError where it is damaged or cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; {ANEW}") from None
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}; was the file edited?") from None
    if not isinstance(found, dict):
        raise InputError(f"{file}: holds no facts; was the file edited?")
    return found
