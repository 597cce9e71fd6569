"""Right derivations of many kinds, for tests to judge, and to spoil."""

import torch
from torch.nn import functional

import lab


class CrossEntropy(lab.Derivation):
    """Softmax regression: an outside reference, integer labels, a matrix as x."""

    shapes = {"theta": "d k", "X": "n d", "y": "n labels k"}

    def value(self, theta, X, y):
        z = X @ theta
        return (torch.logsumexp(z, 1) - z[torch.arange(len(y)), y]).mean()

    def reference(self, theta, X, y):
        return functional.cross_entropy(X @ theta, y)

    def gradient(self, theta, X, y):
        p = torch.softmax(X @ theta, 1)
        return X.T @ (p - functional.one_hot(y, theta.shape[1])) / len(X)

    def hvp(self, theta, X, y, V):
        p, U = torch.softmax(X @ theta, 1), X @ V
        return X.T @ (p * (U - (p * U).sum(1, keepdim=True))) / len(X)


class Quadratic(lab.Derivation):
    """A square matrix that is not symmetric, a vector as x."""

    shapes = {"x": "d", "A": "d d"}

    def value(self, x, A):
        return x @ A @ x

    def gradient(self, x, A):
        return (A + A.T) @ x

    def hessian(self, x, A):
        return A + A.T

    def hvp(self, x, A, v):
        return A @ v + A.T @ v


class LogDeterminant(lab.Derivation):
    """Of a positive definite matrix."""

    shapes = {"A": "d d definite"}

    def value(self, A):
        return torch.logdet(A)

    def gradient(self, A):
        return torch.linalg.inv(A).T

    def hessian(self, A):
        B = torch.linalg.inv(A)
        return -torch.einsum("jk,li->ijkl", B, B)


class SoftmaxMap(lab.Derivation):
    """A vector for a vector, with all first-order derivatives."""

    shapes = {"z": "k"}

    def value(self, z):
        return torch.softmax(z, 0)

    def jacobian(self, z):
        p = self.value(z)
        return torch.diag(p) - torch.outer(p, p)

    def jvp(self, z, v):
        p = self.value(z)
        return p * (v - p @ v)

    def vjp(self, z, g):
        return self.jvp(z, g)


class Linear(lab.Derivation):
    """A matrix for a matrix; its Jacobian as a matrix over flattened arguments."""

    shapes = {"W": "d k", "X": "n d"}

    def value(self, W, X):
        return X @ W

    def jacobian(self, W, X):
        return torch.kron(X, torch.eye(W.shape[1], dtype=X.dtype))

    def vjp(self, W, X, G):
        return X.T @ G


class Entropy(lab.Derivation):
    """Of rows on the simplex; a third and a logarithm to base 2 are constants of few digits."""

    shapes = {"p": "n k probabilities"}

    def value(self, p):
        return -(p * p.log2()).sum() / 3

    def gradient(self, p):
        return -(p.log() + 1) * (1 / 3) * 1.4426950408889634


class Huber(lab.Derivation):
    """Two branches, with torch's own as reference."""

    shapes = {"r": "n"}

    def value(self, r):
        return torch.where(r.abs() <= 1, r * r / 2, r.abs() - 0.5).sum()

    def reference(self, r):
        return functional.huber_loss(r, torch.zeros_like(r), reduction="sum")

    def gradient(self, r):
        return r.clamp(-1, 1)


POISSON = '''
@dataclass(frozen=True)
class Poisson(lab.Loss):
    """Poisson regression of counts."""
    self_concordance = 1.0
    def value(self, z, y): return (z.exp() - y * z).sum(dim=1)
    def gradient(self, z, y): return z.exp() - y
    def hvp(self, z, y, u): return z.exp() * u
    def reference(self, z, y): return torch.nn.functional.poisson_nll_loss(z, y, reduction="none").sum(dim=1)
    def encode(self, labels, classes, dtype): return labels[:, None].to(dtype)
    def correct(self, z, y): return (z.exp().round() == y).to(z.dtype).mean(dim=1)
    def _examples(self, rng, scale):
        yield scale / 8 * torch.randn(5, 3, generator=rng, dtype=torch.float64), torch.arange(15.0).reshape(5, 3)
'''  # as a file of one's own has it, below its imports
