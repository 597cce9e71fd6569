"""What the lab has for your own test suite: assertions that fail in the referee's words.

With the lab installed, pytest knows the fixture `golden_trace` and the option `--lab-renew`; see docs/testing.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lab import config as configs
from lab import golden, goldenfile
from lab.bench import backward, judge
from lab.board import short
from lab.derivation import Derivation
from lab.errors import InputError
from lab.experiment import Experiment, assemble
from lab.provenance import versions
from lab.referee import Verdict


def assert_derivation(
    derivation: Derivation | type[Derivation], *, dtypes: Sequence[torch.dtype] = judge.DTYPES, seed: int = judge.SEED
) -> None:
    """Assert that what was derived of a function is right: every derivative, in every precision.

    Args: as for `lab.check`.
    Raises: AssertionError in the verdicts' words, with the mistake's name where it can be told; InputError where there
        is nothing to judge.
    """
    __tracebackhide__ = True
    made = derivation() if isinstance(derivation, type) else derivation
    wrong = _words(judge.check(made, dtypes=dtypes, seed=seed))
    if wrong:
        raise AssertionError(f"{type(made).__name__}: {wrong}")


def check_autograd_function(
    fn: type[Any],
    inputs: Sequence[Any] | None = None,
    *,
    dtypes: Sequence[torch.dtype] = judge.DTYPES,
    seed: int = judge.SEED,
) -> None:
    """Assert that the backward pass of a `torch.autograd.Function` is right, to each of its floating inputs.

    It is judged as a product gᵀJ with a random g, against the derivative of its forward pass in 400 bits, or of its
    `reference` where it has one.

    Args: fn the class; inputs what forward takes after the context, at which it is judged, cast to each of `dtypes`;
        without them at the `shapes` or `examples` of the class; seed of what is drawn.
    Raises: AssertionError in the verdicts' words; InputError where there is nothing to differentiate by.
    """
    __tracebackhide__ = True
    examples = None if inputs is None else lambda rng: iter([tuple(inputs)])
    subjects = list(backward.of_function(fn, examples))
    if not subjects:
        raise InputError(f"{fn.__name__}: no floating input to differentiate by; give it one at least")
    wrong = _words(verdict for subject in subjects for verdict in judge.verdicts(subject, dtypes, seed))
    if wrong:
        raise AssertionError(f"{fn.__name__}: {wrong}")


def _words(verdicts: Iterable[Verdict]) -> str:
    """What the failed ones among the verdicts say, a line each; nothing where all passed."""
    return "\n".join(str(verdict) for verdict in verdicts if not verdict.passed)


def assert_trace(
    config: str | Path | Mapping[str, Any],
    path: str | Path,
    *,
    renew: bool = False,
    eigenvalues: int = 2,
    **overrides: Any,
) -> None:
    """Train what a config says and assert that every step's values are those in the golden file, within rounding.

    The values are the loss, the gradient's norm, and as many of the Hessian's largest `eigenvalues` (0: none). How far
    rounding may move each is measured along the run: `lab.golden`.

    Args: config a YAML file's path or a mapping, and overrides of it, as for `lab.train`; path of the golden file;
        renew writes the file where it is missing or no longer holds, and asserts nothing.
    Raises: AssertionError, naming step, quantity, both values and their difference in units of the bound; InputError
        where config, data or golden file are wrong, or the run multiplies rounding too fast to be replayed.
    """
    __tracebackhide__ = True
    path = Path(path)
    experiment = assemble(configs.made_of(config, overrides))
    with torch.no_grad():
        rows = tuple(golden.trace(experiment, eigenvalues))
    wrong = _amiss(path, experiment, rows)
    if wrong and renew:
        values = tuple({tag: quantity.value for tag, quantity in row.items()} for row in rows)
        goldenfile.write(path, goldenfile.Recorded(goldenfile.digest(experiment), versions(), values))
    elif wrong:
        raise AssertionError(wrong)


def _amiss(path: Path, experiment: Experiment, rows: tuple[golden.Row, ...]) -> str:
    """What a golden file has against a run; nothing where it holds."""
    named = short(path)
    if not path.exists():
        return f"{named}: no golden trace yet; make it with `pytest --lab-renew`, look at it, and commit it"
    recorded = goldenfile.read(path)
    here = goldenfile.digest(experiment)
    if recorded.config != here:
        return (
            f"{named}: the trace of another config or of other data ({recorded.config}, now {here}); "
            "if that is meant, renew it with `pytest --lab-renew`"
        )
    found = golden.mismatch(recorded.rows, rows)
    if not found:
        return ""
    now = versions()
    made = "" if now == recorded.made_by else f"\nrecorded by {recorded.made_by}\nreplayed by {now}"
    return f"{named}: {found}; if the change is meant, renew it with `pytest --lab-renew`{made}"
