"""The lab's pytest plugin: the fixture `golden_trace` and the option `--lab-renew`. It imports nothing of the lab's
until a test uses it, so that other tests wait for nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab-renew`."""
    parser.getgroup("lab").addoption(
        "--lab-renew", action="store_true", help="write golden traces that are missing or no longer hold"
    )


class GoldenTrace:
    """What the fixture gives: call it with a config to replay the run against its golden file."""

    def __init__(self, folder: Path, test: str, renew: bool) -> None:
        self._folder, self._test, self._renew = folder, test, renew
        self._used = set[str]()

    def __call__(
        self,
        config: str | Path | Mapping[str, Any],
        *,
        name: str | None = None,
        eigenvalues: int = 2,
        **overrides: Any,
    ) -> None:
        """Train what the config says and assert that every step is as it was recorded, within rounding.

        Args: config a YAML file's path or a mapping, and overrides of it, as for `lab.train`; name of the golden file,
            by default the test's; eigenvalues how many of the Hessian's largest belong to the trace.
        Raises: as `lab.testing.assert_trace`.
        """
        __tracebackhide__ = True
        from lab.testing import assert_trace

        stem = re.sub(r"[^\w.-]+", "-", name or self._test).strip("-.")
        if stem in self._used:
            raise ValueError(f"golden_trace: two traces are called {stem!r}; give one of them another name=…")
        self._used.add(stem)
        path = self._folder / f"{stem}.txt"
        assert_trace(config, path, renew=self._renew, eigenvalues=eigenvalues, **overrides)


@pytest.fixture
def golden_trace(request: pytest.FixtureRequest) -> GoldenTrace:
    """Replay a run against the values recorded in golden/<test file>/<test>.txt beside the test file.

    `golden_trace(config, name=None, eigenvalues=2, **overrides)`; missing files are written with --lab-renew.
    """
    folder = request.path.parent / "golden" / request.path.stem
    return GoldenTrace(folder, request.node.name, bool(request.config.getoption("--lab-renew")))
