"""`lab check --new FILE.py`: a commented file to start from."""

from pathlib import Path

from lab import files
from lab.errors import InputError

TEXT = '''"""A derivation of mine. Judge it with: lab check {name}

Logistic regression, from paper to code. X (n, d) inputs, theta (d,) parameters, y (n,) targets of 0 and 1, z = X theta.

Value      L = mean of log(1 + exp z) - y z
Gradient   d/dz log(1 + exp z) = sigmoid(z), so dL/dz = (sigmoid(z) - y)/n and dL/dtheta = X^T (sigmoid(z) - y)/n
Product    d sigmoid/dz = sigmoid(z) sigmoid(-z), so H v = X^T (sigmoid(z) sigmoid(-z) X v)/n
"""

import torch
from torch.nn import functional

import lab


class Logistic(lab.Derivation):
    """The mean binary cross-entropy of z = X theta."""

    # What the arguments look like, in their order. Every letter is a length, and no two letters are given the same one.
    # After the lengths comes what the entries are, real numbers by default: labels k, onehot, probabilities, binary,
    # signs, positive, unit, symmetric, definite. For inputs of your own, write examples(self, rng) in place of shapes.
    shapes = {{"theta": "d", "X": "n d", "y": "n binary"}}

    def value(self, theta, X, y):
        """The function; derivatives are by its first argument."""
        z = X @ theta
        return (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()

    def reference(self, theta, X, y):
        """The same from somewhere else, so that a mistake in value cannot hide in its derivatives. Leave it out if
        there is none: the derivatives are then judged against those of value."""
        return functional.binary_cross_entropy_with_logits(X @ theta, y)

    # Write whichever you derived: gradient, jacobian, hessian, hvp, jvp, vjp. Products take their direction last.

    def gradient(self, theta, X, y):
        return X.T @ (torch.sigmoid(X @ theta) - y) / len(X)

    def hvp(self, theta, X, y, v):
        z = X @ theta
        return X.T @ (torch.sigmoid(z) * torch.sigmoid(-z) * (X @ v)) / len(X)
'''


def write(name: str) -> Path:
    """Write the file and return its path.

    Raises: InputError where it is there already, is no .py file, or its folder is not there.
    """
    path = Path(name)
    if path.suffix != ".py":
        raise InputError(f"{path}: must end in .py")
    if path.exists():
        raise InputError(f"{path}: is there already; choose another name")
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such folder as {path.parent}")
    files.write_text(path, TEXT.format(name=path.name))
    return path
