"""Rows from a model that is known, so that what training should find is known too.

x ~ N(0, I) in R^d.   Classes: k centres cₗ ~ N(0, I) and logits zₗ = (s/√d)(x·cₗ − ‖cₗ‖²/2).
                      The largest logit is that of the nearest centre, so every class has its region for any d and k,
                      and binary is k = 2 with the one logit z₁ − z₀.
                      Labels: wₗ ~ N(0, I) and logits zₗ = (s/√d) x·wₗ, each label for itself.
not separable         y is drawn from softmax(z), or σ(z): the model is the truth, and its mistakes are noise.
separable             y is where z is largest, or z > 0; of 2n rows those n are kept whose decision is the widest, so
                      that a margin lies between the classes. Without ridge the weights then grow without end.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from lab.dataset import Dataset, Integers, Table, digest
from lab.errors import InputError
from lab.sheet import Floats

SHARPNESS = 3.0  # s: at 3 the best classifier errs on roughly one row in six
ATTEMPTS = 100


@dataclass(frozen=True)
class Synthetic(Dataset):
    """Rows drawn, with a seed, from a known linear model; k counts classes, or labels if multilabel (2, 3 and 3)."""

    task: Literal["binary", "multiclass", "multilabel"]
    """What the targets are."""
    n: Annotated[int, Ge(2)] = 200
    """Rows."""
    d: Annotated[int, Ge(1)] = 5
    """Columns."""
    k: Annotated[int, Ge(2)] | None = None
    """Classes or labels."""
    separable: bool = False
    """Let a plane part the classes, so that the loss has no minimum."""
    seed: Annotated[int, Ge(0)] = 0
    """Of the rows; the run's own seed leaves them as they are."""

    def load(self) -> Table:
        k = self._outputs()
        rng = np.random.default_rng(self.seed)
        for _ in range(ATTEMPTS):  # a small n can miss a class by chance
            X, y = self._draw(rng, k)
            if self._every_class_occurs(y, k):
                break
        else:
            raise InputError(f"data.n: {self.n} rows never held all of {k} classes in {ATTEMPTS} draws; raise data.n")
        features = tuple(f"x{column}" for column in range(self.d))
        classes = tuple(f"{'label' if self.task == 'multilabel' else 'class'}_{output}" for output in range(k))
        return Table(X, y, features, classes, digest(X, y, features, classes))

    def _outputs(self) -> int:
        if self.task == "binary" and self.k not in (None, 2):
            raise InputError(f"data.k: {self.k} for task binary; leave it out, or use task: multiclass")
        return self.k or (2 if self.task == "binary" else 3)

    def _draw(self, rng: np.random.Generator, k: int) -> tuple[Floats, Integers]:
        """X (n, d) and y, by a model that is drawn too."""
        X = rng.standard_normal((2 * self.n if self.separable else self.n, self.d))
        weights = rng.standard_normal((self.d, k))
        bias = np.zeros(k) if self.task == "multilabel" else -(weights**2).sum(axis=0) / 2
        z = (X @ weights + bias) * (SHARPNESS / np.sqrt(self.d))
        if not self.separable:
            return X, self._sample(rng, z)
        if self.task == "multilabel":
            width, y = np.abs(z).min(axis=1), (z > 0).astype(np.int64)
        else:
            width, y = np.ptp(np.sort(z, axis=1)[:, -2:], axis=1), np.argmax(z, axis=1)
        widest = np.sort(np.argsort(-width, kind="stable")[: self.n])
        return X[widest], y[widest]

    def _sample(self, rng: np.random.Generator, z: Floats) -> Integers:
        """Labels by their probabilities: the largest of logits with Gumbel noise is a draw from their softmax."""
        if self.task == "multilabel":
            return (z + rng.logistic(size=z.shape) > 0).astype(np.int64)
        classes: Integers = np.argmax(z + rng.gumbel(size=z.shape), axis=1)
        return classes

    def _every_class_occurs(self, y: Integers, k: int) -> bool:
        if self.task == "multilabel":
            return bool((y.min(axis=0) < y.max(axis=0)).all())
        return len(np.unique(y)) == k
