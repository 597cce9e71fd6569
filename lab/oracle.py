"""The truth about a bare function, by torch's automatic differentiation. The one file in which it appears.

Nothing here knows the lab: f is any function of one tensor that returns a 0-d tensor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Scalar = Callable[[Tensor], Tensor]

# torch.func.hessian differentiates along all columns in one batch. Above this many bytes for each intermediate result
# the same transforms run on a few columns at a time, which stay nearer to the cache: up to 5 times as fast at digits.
CHUNK_BYTES = 1 << 24


def value_and_gradient(f: Scalar, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(x) and ∇f(x), in x's shape, by reverse mode (`torch.autograd.grad`)."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value = f(leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def gradient(f: Scalar, x: Tensor) -> Tensor:
    """Return ∇f(x), in x's shape, by reverse mode (`torch.autograd.grad`)."""
    return value_and_gradient(f, x)[1]


def decomposed_gradient(f: Scalar, x: Tensor) -> Tensor:
    """Return ∇f(x) by `torch.func.grad`, which differentiates some operations through a decomposition of their own."""
    with torch.enable_grad():
        found: Tensor = torch.func.grad(f)(x.detach().clone())
    return found.detach()


def pulled_back(f: Callable[..., Tensor], inputs: Sequence[Tensor], which: int, g: Tensor) -> Tensor:
    """Return gᵀ ∂f/∂inputs[which], in that input's shape, by reverse mode, which runs hand-written backward passes."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_(i == which) for i, x in enumerate(inputs)]
        out = f(*leaves)
        (found,) = torch.autograd.grad(out, leaves[which], g, allow_unused=True, materialize_grads=True)
    return found.detach()


def hvp(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    """Return ∇²f(x) v, in x's shape: reverse mode over reverse mode, with no Hessian in between.

    (Forward mode over reverse mode does the same. Through some of torch's losses it imports torch._dynamo first, which
    takes longer than torch itself, and then runs several times as long.)
    """
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
        if not gradient.requires_grad:  # f is linear
            return torch.zeros_like(x)
        # As a number: torch.autograd.grad imports sympy where it is given v itself.
        slope = (gradient * v).sum()
        (product,) = torch.autograd.grad(slope, leaf, allow_unused=True, materialize_grads=True)
    return product.detach()


def hessian(f: Scalar, x: Tensor, rows: int = 1) -> Tensor:
    """Return ∇²f(x) as a matrix (P, P) over x's P entries in row-major order, by `torch.func.hessian`.

    `rows` is the number of numbers that f holds for each value of a parameter (N·K for N rows of K logits).
    `torch.func.hessian` holds them P times over; where that is too much for the cache, the same forward-over-reverse
    transforms run on a few columns at a time.
    """
    P = x.numel()
    # Under no_grad torch.func.hessian(logdet) is 0 without a word: its backward formula is then no function of x.
    with torch.enable_grad():
        if P * rows * x.element_size() <= CHUNK_BYTES:
            full: Tensor = torch.func.hessian(f)(x)
            return full.reshape(P, P).detach()
        chunk = max(1, CHUNK_BYTES // (rows * x.element_size()))
        units = torch.eye(P, dtype=x.dtype, device=x.device).view(P, *x.shape)
        product = torch.func.vmap(lambda v: torch.func.jvp(torch.func.grad(f), (x,), (v,))[1], chunk_size=chunk)
        columns: Tensor = product(units)
    return columns.reshape(P, P).detach()


@dataclass(frozen=True)
class Objective:
    """A bare function with its derivatives by automatic differentiation: what a problem offers, derived by nobody."""

    f: Scalar

    def value(self, theta: Tensor) -> Tensor:
        """f(θ), a 0-d tensor."""
        return self.f(theta).detach()

    def value_and_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """f(θ) and ∇f(θ), in θ's shape and, as L-BFGS insists on, layout."""
        value, gradient = value_and_gradient(self.f, theta)
        return value, gradient.contiguous()

    def hessian(self, theta: Tensor) -> Tensor:
        """∇²f(θ), (P, P)."""
        return hessian(self.f, theta)


def is_function(kind: object) -> bool:
    """Whether a class is a `torch.autograd.Function`: a forward pass with a backward pass written by hand."""
    return isinstance(kind, type) and issubclass(kind, torch.autograd.Function) and kind is not torch.autograd.Function


class Context:
    """What a forward pass is given to save its tensors in, where nobody will ask for them."""

    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Do nothing; likewise below."""

    save_for_forward = mark_dirty = mark_non_differentiable = save_for_backward

    def set_materialize_grads(self, value: bool) -> None:
        """Do nothing."""


def forward_alone(kind: Any) -> Callable[..., Tensor]:
    """Return a Function's forward pass as a plain function, which torch differentiates by its own rules."""
    if kind.setup_context is not torch.autograd.Function.setup_context:
        forward: Callable[..., Tensor] = kind.forward
        return forward
    return lambda *args: kind.forward(Context(), *args)


def called_with(module: torch.nn.Module, names: Sequence[str], *args: Any) -> Any:
    """Call a module with other parameters and buffers: `args` are its inputs, then a tensor for each of `names`."""
    split = len(args) - len(names)
    return torch.func.functional_call(module, dict(zip(names, args[split:], strict=True)), args[:split])
