"""Where a run comes from: the code, the packages, the machine and the words that started it."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("lab", "torch", "numpy", "scikit-learn", "tensorboard", "pydantic")


def provenance(*, data_sha256: str, argv: Sequence[str], seed: int, **more: Any) -> dict[str, Any]:
    """Everything needed to say later what made a run, as a dict that JSON can hold; what cannot be found out is None.

    `more` is put in as it is.  Never fails for lack of git, of a package or of /proc.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": list(argv),
        "cwd": str(Path.cwd()),
        "seed": seed,
        "data_sha256": data_sha256,
        "git": {"lab": _git(_checkout()), "cwd": _git(Path.cwd())},
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch": _torch(),
        "python": sys.version,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        **more,
    }


def versions() -> str:
    """What computes here, in a line: the packages whose rounding it is, Python, the machine's kind."""
    packages = ", ".join(f"{name} {_version(name)}" for name in ("lab", "torch", "numpy"))
    return f"{packages}, Python {platform.python_version()}, {platform.machine()}"


def _checkout() -> Path | None:
    """The folder that lab's source is in, if it is a checkout; not the site-packages of somebody else's repository."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() else None


def _git(folder: Path | None) -> dict[str, Any] | None:
    """The commit checked out at `folder`, and whether files there differ from it, or are new and not ignored."""
    if folder is None:
        return None
    command = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=environment)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    return {
        "commit": commit if commit != "(initial)" else None,
        "dirty": any(not line.startswith("#") for line in lines),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> dict[str, Any]:
    import torch

    return {
        "build": torch.__config__.show(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cuda": torch.version.cuda,
        # Asking for devices starts CUDA, so only a run that uses it is asked.
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_initialized() else None,  # type: ignore[no-untyped-call]
    }


def _cpu() -> str | None:
    """The processor's name, as the system spells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or None
