"""How far a θ is known to be from one at which the spectrum was measured, at next to no price: the δ of `operator`.

An anchor is a θ to which δ is known. From there ‖Δ‖ bounds what is left, which is a few times too much of it, but where
it is a small part of the whole nothing closer is worth its price:

    left(θ) ≤ s (known + left(θ))  ⟺  left(θ) ≤ s/(1 − s)·known  ⟹  δ(θ) ≤ known + left(θ) ≤ known/(1 − s),

so that anchors have balls around them, in all of which one δ holds. Where θ has left the ball, the anchor is moved
there, by a closer look at Δ.

‖Δ‖ is at most the way that was walked, Σ η‖∇L‖ where steps are plain: only where that may lead out of the ball is θ
looked at. Rounding: θ′ = θ − η∇L is off by 2u(|θ′| + η|∇L|) entrywise, and η‖∇L‖ by γ of its sum of squares, each of
which may lose what is below the smallest normal number.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lab.curvature.operator import Curvature, size_of
from lab.rounding import gamma

LEFT = 0.1  # s


def change(there: Curvature, theta: Tensor, memory: dict[str, Any]) -> float:
    """Bound δ from `there` to θ, by way of an anchor that is kept in `memory`, or moved to θ."""
    near, known = _anchor(there, memory, theta)
    left = near.log_change_by_length(theta)
    if left <= LEFT * (known + left) < math.inf:
        return known + left
    delta = there.log_change_at_most(theta)
    if known + left < delta:
        delta = known + near.log_change_at_most(theta)
    if delta < math.inf:
        anchor_at(theta, delta, memory)
    return delta


def anchor_at(theta: Tensor, delta: float, memory: dict[str, Any]) -> None:
    """Keep it in `memory` that δ from the measurement to θ is at most `delta`."""
    memory.update(anchor=theta.clone(), anchor_change=delta, ball=None, room=(None, 0.0))


def change_around(there: Curvature, theta: Tensor, memory: dict[str, Any]) -> float:
    """Bound δ from `there` in all of a ball, which is kept in `memory`, around the anchor or, if it lies outside, θ."""
    delta = change(there, theta, memory)
    near, known = _anchor(there, memory, theta)
    slope, numbers, P = near.log_change_within(1.0), torch.finfo(theta.dtype), theta.numel()
    radius = LEFT / (1 - LEFT) * known / slope * (1 - 1e-12) if slope else math.inf  # the bound grows as the distance
    if near is there or not math.isfinite(delta) or size_of(theta - near.theta) > radius:
        memory["ball"] = None
        return delta
    relative = 1 + 2 * gamma(P + 4, theta.dtype) + 4 * numbers.eps
    memory.setdefault("room", (None, 0.0))
    memory["ball"] = radius, relative, math.sqrt(P * numbers.tiny), numbers.eps * (size_of(near.theta) + radius)
    return known / (1 - LEFT) * (1 + 1e-15)


def stays(t: int, theta: Tensor, memory: dict[str, Any]) -> bool:
    """Whether θ = θ_t is in the ball, by the steps that were noted or, where they do not say so, by a look at it."""
    if memory.get("ball") is None:
        return False
    noted, room = memory["room"]
    if noted != t or not room >= 0:
        room = memory["ball"][0] - size_of(theta - memory["anchor"].to(theta))
    memory["room"] = t, room
    return bool(room >= 0)


def note(t: int, eta: float, norm: float, memory: dict[str, Any]) -> None:
    """Note that a plain step follows from θ_t: η times ‖∇L(θ)‖, of computed `norm`, takes up some of the room."""
    if memory.get("ball") is not None:
        (_, relative, lost, rounding), (noted, room) = memory["ball"], memory["room"]
        memory["room"] = t + 1, room - (eta * (norm * relative + lost) + rounding) if noted == t else -math.inf


def _anchor(there: Curvature, memory: Mapping[str, Any], like: Tensor) -> tuple[Curvature, float]:
    """The curvature at the anchor, at first `there`, and δ from `there` to it."""
    if "anchor" not in memory:
        return there, 0.0
    return Curvature(there.problem, memory["anchor"].to(like)), float(memory["anchor_change"])
