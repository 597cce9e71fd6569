"""How sharp a loss may be for an optimizer: the largest curvature at which its steps do not run away.

Near a minimum the loss is a quadratic, and along an eigenvector of P^{−1/2} H P^{−1/2}, of eigenvalue λ, a step
θ ← θ − η P^{−1} m, m ← βm + (1 − τ)∇, is a linear recurrence with the characteristic polynomial
    z² − (1 + β − η(1 − τ)λ) z + β,
whose roots are inside the unit circle while η(1 − τ)λ < 2(1 + β) (Schur–Cohn). P, which changes slowly, is held.
    sgd        P = 1, β momentum, τ dampening;                    limit 2(1 + β)/(η(1 − τ))
    nesterov   ∇ + βm in m's place: trace 1 + β − (1 + β)ηλ, determinant β(1 − ηλ); limit 2(1 + β)/(η(1 + 2β))
    adam       P = √(v/(1 − β₂ᵗ)) + ε, m an average: τ = β₁, η/(1 − β₁ᵗ);  limit 2(1 + β₁)(1 − β₁ᵗ)/(η(1 − β₁))
    rmsprop    P = √v + ε, with momentum β as sgd;                 limit 2(1 + β)/η
    adagrad    P = √Σ∇² + ε;                                       limit 2(1 + (t − 1)·decay)/η

Source  Polyak (1964); Cohen et al., Adaptive gradient methods at the edge of stability (2022), where Adam's limit is
        38/η at β₁ = 0.9 and late t.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stability:
    """Steps are stable while λ₁(P^{−1/2} H P^{−1/2}) is below `limit`; `scale` is P, in θ's shape, None for 1."""

    limit: float
    scale: Tensor | None = None


def of(kind: str, options: Mapping[str, Any], state: Mapping[str, Any]) -> Stability | None:
    """The stability of an optimizer of torch.optim, from its options and state; None where it is not known here.

    Options that add a term of their own (weight decay, amsgrad, a centred average) leave it unknown.
    """
    if any(options.get(name) for name in _UNKNOWN):
        return None
    known = _KNOWN.get(kind.lower())
    found = None if known is None or not float(options["lr"]) > 0 else known(options, state)
    # At λ = 0 the roots are 1 and β: with β > 1 what is nearly flat runs away, whatever λ₁ is.
    return found if found is None or float(options.get("momentum", 0.0)) <= 1 else replace(found, limit=0.0)


def plain(kind: str, options: Mapping[str, Any]) -> float | None:
    """η where the steps of an optimizer of torch.optim are θ − η∇L(θ) and nothing else; None where they are others."""
    others = ("momentum", "weight_decay", "maximize")
    return float(options["lr"]) if kind.lower() == "sgd" and not any(options[name] for name in others) else None


def others(kind: str, options: Mapping[str, Any]) -> str | None:
    """What the steps of an optimizer of torch.optim are, where they are not θ − η∇L(θ), and what tells their limit."""
    kind = kind.lower()
    if kind == "sgd" and plain(kind, options) is not None:
        return None
    more = [name for name in ("momentum", "weight_decay") if kind == "sgd" and options.get(name)]
    named = kind + f" with {' and '.join(more)}" * bool(more)
    if options.get("maximize"):
        return f"{named}, uphill as maximize asks"
    known = kind in _KNOWN and not any(options.get(name) for name in _UNKNOWN)
    return named + ", of which the probe sharpness tells" * known


def _sgd(options: Mapping[str, Any], state: Mapping[str, Any]) -> Stability:
    lr, beta, damped = float(options["lr"]), float(options["momentum"]), float(options["dampening"])
    if options["nesterov"]:
        return Stability(2 * (1 + beta) / (lr * (1 + 2 * beta)))
    kept = 1 - damped if beta else 1.0  # without momentum torch dampens nothing
    if kept < 0:  # z = 1 gives η(1 − τ)λ < 0: a root beyond it, for steps that go uphill
        return Stability(0.0)
    return Stability(2 * (1 + beta) / (lr * kept)) if kept else Stability(float("inf"))


def _adam(options: Mapping[str, Any], state: Mapping[str, Any]) -> Stability | None:
    if "exp_avg_sq" not in state:
        return None
    (beta1, beta2), t = (float(beta) for beta in options["betas"]), float(state["step"])
    scale = (state["exp_avg_sq"] / (1 - beta2**t)).sqrt() + float(options["eps"])
    return Stability(2 * (1 + beta1) * (1 - beta1**t) / (float(options["lr"]) * (1 - beta1)), scale)


def _rmsprop(options: Mapping[str, Any], state: Mapping[str, Any]) -> Stability | None:
    if "square_avg" not in state:
        return None
    scale = state["square_avg"].sqrt() + float(options["eps"])
    return Stability(2 * (1 + float(options["momentum"])) / float(options["lr"]), scale)


def _adagrad(options: Mapping[str, Any], state: Mapping[str, Any]) -> Stability | None:
    if "sum" not in state or not bool((state["sum"] > 0).any()):
        return None
    scale = torch.sqrt(state["sum"]) + float(options["eps"])
    slowed = 1 + (float(state["step"]) - 1) * float(options["lr_decay"])
    return Stability(2 * slowed / float(options["lr"]), scale)


_UNKNOWN = ("weight_decay", "amsgrad", "centered", "maximize", "nesterov_momentum")
_KNOWN: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Stability | None]] = {
    "sgd": _sgd,
    "adam": _adam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
}
