"""Whether most functions of deep learning have a symmetric Hessian.

"Most" names no collection of functions, so no figure can decide it. What can be said: a function made of functions with
continuous second derivatives (tanh, σ, softmax, exp, log, products) has a symmetric one everywhere; with relu or max it
has where no argument is at a kink, which is almost everywhere. At a kink it has none, symmetric or not.
"""

from collections.abc import Iterator

from torch import Generator, Tensor

from lab.evidence import Evidence, Function, equality, gamma, hessian, untold
from lab.identity import JACOBIAN_HESSIAN, Identity, Judgement, normal


class MostHessians(Identity):
    """Most functions of deep learning have a symmetric Hessian."""

    statement = "H = Hᵀ for most functions of deep learning"
    source, heading = JACOBIAN_HESSIAN, "Hessian Matrix"
    expected = Judgement.UNTOLD
    remark = "Smooth networks have one everywhere, relu networks almost everywhere; 'most' cannot be measured."

    def claim(self, H: Tensor) -> Tensor:
        """Hᵀ, (n, n)."""
        return H.T

    def evidence(self, rng: Generator) -> Iterator[Evidence]:
        X, x = normal(rng, 7, 4), normal(rng, 4)
        samples: dict[str, Function] = {
            "Σ log(1 + e^{Xw})": lambda w: (1 + (X @ w).exp()).log().sum(),
            "log Σ e^{Xw}": lambda w: (X @ w).exp().sum().log(),
            "Σ tanh(Xw)²": lambda w: ((X @ w).tanh() ** 2).sum(),
        }
        spread = 2 * float((X.abs() @ x.abs()).max())
        for what, f in samples.items():
            H = hessian(f, x)
            bound = gamma(7 + 2 * 4 + 32 + spread) * 4 * X.abs().T @ (X.abs() * (1 + (X.abs() @ x.abs())[:, None]))
            yield equality(what, self.claim(H), H, bound)
        yield untold("all the others", "'most' names no collection of functions to draw from")
