"""What was raised by what is judged, and where in the user's own lines."""

import traceback
from pathlib import Path


def place(error: BaseException) -> str:
    """What was raised and where: "raises my_loss.py:12: TypeError: …"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/torch/" not in f.filename]
    here = Path(__file__).parents[1]
    ours = (here / "bench", here / "arithmetic", here / "oracle.py")
    theirs = [f for f in frames if not {Path(f.filename), Path(f.filename).parent}.intersection(ours)]
    at = f"{theirs[-1].filename}:{theirs[-1].lineno}: " if theirs else ""
    return f"raises {at}{type(error).__name__}: {' '.join(str(error).split())}"
