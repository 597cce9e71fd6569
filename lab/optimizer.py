"""Optimizers: how θ moves, given the hand-derived gradient.

An optimizer asks of its objective no more than `Objective` has: a hand-derived `Problem` offers it, and so does the
oracle's automatic differentiation of the same function, which is how a twin trains by autograd alone.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer as TorchOptimizer

from lab import stability
from lab.errors import InputError
from lab.stability import Stability

OPERATIONS = 16  # of a step for one entry: Adam, the longest of the usual optimizers, has a dozen


class Objective(Protocol):
    """A function of θ that can be minimised."""

    def value(self, theta: Tensor) -> Tensor:
        """L(θ), a 0-d tensor."""

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """L(θ) and ∇L(θ), in θ's shape."""

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²L(θ), (P, P)."""


class Stepper(Protocol):
    """An optimizer at work: it may hold state (momentum), which goes into checkpoints."""

    @property
    def lr(self) -> float | None:
        """The step length now, to be compared with 2/λ₁; None where that says nothing."""

    @property
    def stability(self) -> Stability | None:
        """How much curvature the step just taken bears; None where that is not known."""

    @property
    def plain(self) -> float | None:
        """η where a step is sure to be θ − η∇L(θ), so that its length is known from ‖∇L(θ)‖; None otherwise."""

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        """Return where one step from θ ends; θ itself is left as it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain types and tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """An optimizer of the lab's own; those of torch.optim are wrapped by `FromTorch`."""

    @abstractmethod
    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        """Return where one step from θ (D, K), with gradient ∇L(θ), ends; nothing is remembered from step to step."""

    @property
    def step_length(self) -> float | None:
        """η where every step is θ − η∇L(θ), for lr·λ₁ to be logged; None where steps are others, as Newton's are."""
        return None


class Stateless:
    """A stepper for an optimizer that remembers nothing."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    @property
    def lr(self) -> float | None:
        return self._optimizer.step_length

    @property
    def stability(self) -> Stability | None:
        return Stability(2 / self.lr) if self.lr else None

    @property
    def plain(self) -> float | None:
        return None  # intervals are not to rest on what is only said

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        """Let it take a step. Raises: InputError where it breaks its contract."""
        known = dict(vars(self._optimizer))
        # Of copies: what it writes into is its own, and θ and ∇L(θ) are still to be judged and logged.
        after: Any = self._optimizer.step(objective, theta.clone(), gradient.clone())
        if not isinstance(after, Tensor) or (after.shape, after.dtype) != (theta.shape, theta.dtype):
            broken = f"returned {told(after)} where θ is {told(theta)}; return where the step from θ ends"
        elif kept := [name for name, value in vars(self._optimizer).items() if known.get(name) is not value]:
            broken = f"sets {kept[0]!r} on the optimizer, and a resumed run would not have it; take what θ and ∇L tell"
        elif not self._is_plain(theta, gradient, after):
            broken = f"is not θ − η∇L(θ) with the η of step_length, {self.lr:g}; let step_length return None"
        else:
            return after
        raise InputError(f"optimizer {type(self._optimizer).__name__}: step {broken}")

    def _is_plain(self, theta: Tensor, gradient: Tensor, after: Tensor) -> bool:
        """Whether the step is what `step_length` says, up to rounding; it says nothing where that is None."""
        if (eta := self.lr) is None:
            return True
        rounding = 8 * torch.finfo(theta.dtype).eps * (theta.abs() + abs(eta) * gradient.abs())
        return not bool(((after - (theta - eta * gradient)).abs() > rounding).any())

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return


def told(found: Any) -> str:
    """What was returned, in words."""
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    return f"a tensor of shape {tuple(found.shape)} and type {str(found.dtype).removeprefix('torch.')}"


class FromTorch:
    """A stepper that lets an optimizer of torch.optim move a copy of θ by the gradient it is given.

    Constructing a torch optimizer and calling it import torch._dynamo, which takes longer than torch itself, only to
    keep torch.compile away from them. Nothing is compiled here, so the functions below those guards are called.
    """

    def __init__(self, kind: type[TorchOptimizer], options: Mapping[str, Any], theta: Tensor) -> None:
        self._theta = theta.detach().clone()
        unguarded = type(kind.__name__, (kind,), {"add_param_group": inspect.unwrap(kind.add_param_group)})
        self._optimizer: TorchOptimizer = unguarded([self._theta], **options)
        self._step = inspect.unwrap(kind.step)
        closure = inspect.signature(self._step).parameters["closure"]
        self._wants_closure = closure.default is inspect.Parameter.empty

    @property
    def lr(self) -> float | None:
        """The step length now."""
        lr = self._optimizer.param_groups[0].get("lr")
        return None if lr is None else float(lr)

    @property
    def stability(self) -> Stability | None:
        """What `lab.stability` knows of this optimizer, from its state now."""
        optimizer = self._optimizer
        return stability.of(type(optimizer).__name__, optimizer.param_groups[0], optimizer.state[self._theta])

    @property
    def plain(self) -> float | None:
        return stability.plain(type(self._optimizer).__name__, self._optimizer.param_groups[0])

    def step(self, objective: Objective, theta: Tensor, gradient: Tensor) -> Tensor:
        def closure() -> Tensor:
            value, self._theta.grad = objective.value_and_gradient(self._theta)
            return value

        with torch.no_grad():
            self._theta.copy_(theta)
            self._theta.grad = gradient.clone()
            self._step(self._optimizer, closure) if self._wants_closure else self._step(self._optimizer)
        return self._theta.clone()

    def state_dict(self) -> dict[str, Any]:
        return dict(self._optimizer.state[self._theta])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        # torch's own load_state_dict casts to the parameter's dtype what was kept in another (NAdam's mu_product).
        self._optimizer.state[self._theta] = {name: _copied(value, self._theta) for name, value in state.items()}


def _copied(value: Any, theta: Tensor) -> Any:
    """A copy of a piece of state, arrays on θ's device; numbers stay where they are, as torch keeps its step counts."""
    if isinstance(value, Tensor):
        return value.clone() if value.ndim == 0 else value.to(theta.device, copy=True)
    return [_copied(item, theta) for item in value] if isinstance(value, list) else value
