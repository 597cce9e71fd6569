"""How exact the derivatives of cross-entropy are: `python benchmarks/exactness.py` prints the README's table.

Three classes, logits (t, 0, −1), target the first: the surer the model, the smaller the gradient, which is
(p₀ − 1, p₁, p₂). Errors are relative to 50 digits (mpmath), the worst entry's among those that the type can hold as
normal numbers, and so are those of the Hessian diag p − ppᵀ. Torch's gradient is that of `cross_entropy`, its Hessian
`torch.func.hessian`.
"""

import mpmath
import torch
from torch import Tensor

from lab import oracle
from lab.losses.softmax import Softmax

LOGITS = (2.0, 10.0, 17.0, 37.0, 80.0)


def truth(z: Tensor) -> tuple[list[mpmath.mpf], list[mpmath.mpf]]:
    """Gradient (3 entries) and Hessian (9, row by row) of one row z whose target is class 0."""
    with mpmath.workdps(50):
        e = [mpmath.exp(mpmath.mpf(v)) for v in z.tolist()]
        p = [v / mpmath.fsum(e) for v in e]
        rest = [mpmath.fsum(e[:k] + e[k + 1 :]) / mpmath.fsum(e) for k in range(3)]
        gradient = [-rest[0], p[1], p[2]]
        hessian = [p[k] * (rest[k] if k == l else -p[l]) for k in range(3) for l in range(3)]
    return gradient, hessian


def worst(ours: Tensor, true: list[mpmath.mpf]) -> float:
    """The largest relative error of an entry that is a normal number of its type."""
    pairs = zip(ours.flatten().tolist(), true, strict=True)
    with mpmath.workdps(50):
        return max(float(abs((a - b) / b)) for a, b in pairs if abs(b) >= torch.finfo(ours.dtype).tiny)


def main() -> None:
    """Print the table as Markdown."""
    loss = Softmax()
    print("| precision | logit t | gradient, lab | gradient, torch | Hessian, lab | Hessian, torch |")
    print("|---|---|---|---|---|---|")
    for dtype in (torch.float32, torch.float64):
        for t in LOGITS:
            z, y = torch.tensor([[t, 0.0, -1.0]], dtype=dtype), torch.tensor([0])
            gradient, hessian = truth(z[0])
            peer = [
                oracle.gradient(lambda z, y=y: loss.reference(z, y).sum(), z),
                oracle.hessian(lambda z, y=y: loss.reference(z, y).sum(), z),
            ]
            pairs = [(loss.gradient(z, y), gradient), (peer[0], gradient), (loss.hessian(z, y), hessian)]
            pairs.append((peer[1], hessian))
            cells = [f"{worst(ours, true):.0e}" for ours, true in pairs]
            print(f"| {str(dtype).removeprefix('torch.')} | {t:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
