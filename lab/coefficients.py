"""Estimates with standard errors, as statisticians expect them of a maximum-likelihood fit.

At the maximum θ̂ of the likelihood the information matrix I = N ∇²L(θ̂) gives the covariance of the estimates, I⁻¹
(observed information: Efron & Hinkley, Biometrika 65, 1978), hence se = √diag I⁻¹, z = θ̂/se, and p = 2Φ(−|z|), the
probability of a larger |z| if the coefficient is 0 (Wald).

Softmax is blind to a shift common to all classes, so that only contrasts are identified: those with the first class,
the reference. β_k = θ_k − θ_0 has for its information I without the rows and columns of class 0.

Columns that were standardised, x̃ = (x − μ)/s, are told in their own units: β_d/s_d and, of an intercept b,
b − Σ β_d μ_d/s_d, a linear map T of the coefficients, whose covariance is T I⁻¹ Tᵀ. Columns that were not
are centred here, where one of them is constant: the base of a column as of years, 2000 and a little, says nothing of
how well its slope is known, and would cost I digits.

Where some rows can be separated from the rest, θ grows without end along a direction that moves no other row's logits
(Albert & Anderson, Biometrika 71, 1984). Newton's step goes on by about a logit there, however many there were, while
the standard error grows like e^{t/2}: so the step is held against both. Why a fit is refused is looked for then: by a
linear programme, whether rows can be separated (`lab.separation`).

Source  Agresti, Categorical Data Analysis, 3rd ed. (2013), §5.5 and §8.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.errors import InputError
from lab.experiment import Experiment
from lab.problem import Problem
from lab.separation import separated

NEAR = 0.01  # standard errors, and logits: an estimate this near to the maximum is at it, for all a table can show
VAGUE = 1e3  # logits: with a standard error like that nothing is known of an estimate


@dataclass(frozen=True)
class Coefficient:
    """One estimate: of which feature, for which class or label, with standard error, z, and p of the Wald test."""

    feature: str
    output: str
    estimate: float
    error: float

    @property
    def z(self) -> float:
        """Estimate over standard error."""
        return self.estimate / self.error

    @property
    def p(self) -> float:
        """Probability of a larger |z| where the coefficient is 0."""
        return math.erfc(abs(self.z) / 2**0.5)


def coefficients(
    problem: Problem,
    theta: Tensor,
    features: Sequence[str],
    outputs: Sequence[str],
    units: Tensor | None = None,
) -> list[Coefficient]:
    """Return the table of a fit θ (D, K), class by class; contrasts with the first where the loss ignores a shift.

    Args: features the D columns' names; outputs the K outputs'; units T (D, D), from coefficients to the table's.
    Raises: InputError where the fit is no maximum of a likelihood, or where coefficients are not identified.
    """
    problem, theta = problem.in_double, theta.double()  # single would lose what is left of a pivot
    D, blind = problem.shape[0], int(problem.loss.ignores_shift)
    likelihoods = _likelihoods(problem)
    _refuse_separated(problem, theta)
    T = torch.eye(D, dtype=theta.dtype, device=theta.device) if units is None else units.to(theta)
    contrasts = (theta[:, blind:] - theta[:, :1] * bool(blind)).T @ T.T  # (K − blind, D)
    problem, theta, back = _centred(problem, theta)
    try:
        covariance, T = _covariance(problem, theta, likelihoods, features, outputs[blind:]), T @ back
    except InputError as error:
        raise _with_reason(error, separated(problem)) from None
    found = []
    for k, output in enumerate(outputs[blind:]):
        errors = (T @ covariance[k, :, k, :] @ T.T).diagonal().sqrt()
        rows = zip(features, contrasts[k].tolist(), errors.tolist(), strict=True)
        found += [Coefficient(name, output, estimate, error) for name, estimate, error in rows]
    return found


def _covariance(
    problem: Problem, theta: Tensor, likelihoods: float, features: Sequence[str], outputs: Sequence[str]
) -> Tensor:
    """I⁻¹ (F, D, F, D) at the fit, for the F outputs that are told of; refuses where it is no maximum or not known."""
    (D, K), F = problem.shape, len(outputs)
    H = problem.hessian(theta).view(D, K, D, K)[:, K - F :, :, K - F :].permute(1, 0, 3, 2).reshape(F * D, F * D)
    factor = _identified(H, problem)
    covariance = torch.cholesky_inverse(factor) / likelihoods
    reach = covariance.diagonal().sqrt().view(F, D) * problem.X.abs().amax(dim=0)
    if float(reach.max()) > VAGUE:
        k, d = divmod(int(reach.argmax()), D)
        raise InputError(
            f"coefficients: that of {features[d]} for {outputs[k]} is not identified: its standard error is "
            f"{float(reach.max()):.2g} in logits; a column may nearly depend on others"
        )
    slope = problem.gradient(theta)[:, K - F :].T.reshape(-1)
    step = torch.cholesky_solve(slope[:, None], factor)[:, 0]
    off = float((step.abs() / covariance.diagonal().sqrt()).max())
    if not off <= NEAR:
        raise InputError(
            f"coefficients: training ended {off:.2g} standard errors from the maximum of the likelihood; train on "
            "(optimizer.kind=newton takes the fewest steps)"
        )
    moved = float((problem.X @ step.view(F, D).T).abs().max())
    if not moved <= NEAR:
        raise InputError(
            "coefficients: the step from here to the maximum of the likelihood would move a logit by "
            f"{moved:.2g}; train on"
        )
    return covariance.view(F, D, F, D)


def _centred(problem: Problem, theta: Tensor) -> tuple[Problem, Tensor, Tensor]:
    """The same fit on columns less their means, and the map (D, D) from its coefficients back to θ's.

    It takes a constant column to make up for the means; where there is none, all is left as it is.
    """
    X, back = problem.X, torch.eye(len(theta), dtype=theta.dtype, device=theta.device)
    constant = ((X.amin(dim=0) == X).all(dim=0) & X.any(dim=0)).nonzero()[:, 0]
    if not len(constant):
        return problem, theta, back
    base = int(constant[-1])
    means = X.mean(dim=0)
    means[base] = 0.0
    back[base] -= means / X[0, base]
    moved = theta.clone()
    moved[base] += means @ theta / X[0, base]
    return replace(problem, X=X - means), moved, back


def _likelihoods(problem: Problem) -> float:
    """What L(θ) is to be multiplied by to be −log of the data's likelihood."""
    if problem.ridge:
        raise InputError("coefficients: the fit has a ridge, and is no maximum of the likelihood; train with ridge=0")
    of_one = problem.loss.likelihood(problem.y, problem.shape[1])
    if of_one is None:
        raise InputError(
            "coefficients: with weights of rows, classes or labels, label smoothing, or targets between 0 and 1 the "
            "loss is no likelihood; train without them"
        )
    return problem.divisor * of_one


def _with_reason(error: InputError, apart: bool | None) -> InputError:
    """Why there is no table: no maximum where rows are apart, and where that is not known, perhaps none."""
    if apart:
        return InputError(
            "coefficients: the data are separable, at least in part: some rows can be told from the rest without "
            "error, and the likelihood has no maximum; its estimates grow without end; a ridge keeps them, and has no "
            "such table"
        )
    return error if apart is False else InputError(f"{error}; or the data may be separable")


def _identified(H: Tensor, problem: Problem) -> Tensor:
    """H's Cholesky factor, where every pivot is there; a pivot is what a column adds to those before it."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(H)
    # Below rounding of its own size it adds nothing.
    lost = factor.diagonal().square() <= 4 * len(H) * torch.finfo(H.dtype).eps * H.diagonal()
    if int(failed) or bool(lost.any()):
        depends = problem.model.dependent(problem.X)
        raise InputError(
            "coefficients: some are not identified; "
            + (
                "a column depends on others (as a constant one on the intercept); leave it out"
                if depends
                else "a column may nearly depend on others, or training ended where nothing tells; train anew"
            )
        )
    return factor


def _refuse_separated(problem: Problem, theta: Tensor) -> None:
    """Where every row lies on its own side of θ, a multiple of θ is likelier, and there is no maximum."""
    blocks = [problem.loss.margin(problem.model.forward(X, theta), y) for X, y in problem.blocks()]
    known = [margin for margin in blocks if margin is not None]
    if not known:
        return
    margins = torch.cat(known)  # of softmax (N,), of labels (N, K); nan is a row that is left out
    right = (margins > 0) | margins.isnan()
    if bool(right.all(dim=0).any()):
        raise InputError(
            "coefficients: the data are separable, every row lies on its own side: the likelihood has no maximum, and "
            "its estimates grow without end; a ridge keeps them, and has no such table"
        )


def of_run(experiment: Experiment, theta: Tensor) -> list[Coefficient]:
    """The table of an experiment's fit, in the data's own units; an intercept, if there is one, takes their means."""
    data, full = experiment.data, experiment.full
    D, K = full.shape
    outputs = data.classes if len(data.classes) == K else data.classes[-K:]  # two classes with one logit: the second's
    scale, mean = (torch.tensor(values, dtype=torch.float64) for values in (data.scale, data.mean))
    T = torch.eye(D, dtype=torch.float64)
    T[: len(scale), : len(scale)] = torch.diag(1 / scale)
    if data.intercept:
        T[-1, : len(scale)] = -mean / scale
    return coefficients(full, theta, data.features, outputs, T)
