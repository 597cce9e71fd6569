"""What was raised by what is judged, and where in the user's own lines."""

import sysconfig
import traceback
from pathlib import Path

HERE = Path(__file__).parent
OURS = (HERE / "bench", HERE / "arithmetic", HERE / "oracle.py", HERE / "raised.py")
PACKAGES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def place(error: BaseException) -> str:
    """What was raised and where: "raises my_loss.py:12: TypeError: …"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/torch/" not in f.filename]
    theirs = [f for f in frames if not _ours(f.filename)]
    at = f"{theirs[-1].filename}:{theirs[-1].lineno}: " if theirs else ""
    return f"raises {at}{type(error).__name__}: {' '.join(str(error).split())}"


def caller() -> str:
    """The line that called into a package, or into the lab, on the way here: "my_loss.py:12"."""
    for frame, line in traceback.walk_stack(None):
        name = frame.f_code.co_filename
        if not _ours(name) and not name.startswith((*PACKAGES, "<")):
            return f"{name}:{line}"
    return "a line that is not known"


def _ours(filename: str) -> bool:
    return bool({Path(filename), Path(filename).parent}.intersection(OURS))
