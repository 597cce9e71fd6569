"""The outer product of gradients.   ℓ = −log p(y | x; θ), θ̂ the maximum of the likelihood, N rows, no ridge.

Statement   Where the rows were drawn from the model, the mean outer product of gradients, OPG = (1/N) Σ ∇ℓ_n∇ℓ_nᵀ at
            θ̂, tends to ∇²L(θ̂) as N grows, as 1/√N. Where they were not, it tends to something else.
Source      White, Econometrica 50 (1982) 1–25, Theorem 4.1: the information matrix test; Chesher (1983), Lancaster
            (1984) for its variance.
Conditions  A plain softmax, or a plain σ with one logit, of a linear model; no ridge; rows drawn from the model
            (data.kind synthetic, not separable, with an intercept); rows that overlap; at least 20 rows for each of the
            R dimensions of H's range.
Quantity    d_n = ∇ℓ_nᵀ H⁺ ∇ℓ_n − tr H⁺H_n at θ̂, H_n being row n's Hessian; its mean is tr H⁺(OPG − H). And the
            relative distance ‖OPG − H‖/‖H‖ at θ̂ of n rows: the root mean square over N/n blocks, n = N/128, …, N/4.
Prediction  √N·mean d over its standard deviation is standard normal for large N: within 3.29, as it is in 999 of 1,000
            runs, so that mean d is of the order 1/√N. log distance has the slope −1/2 against log n: of independent
            rows of mean 0 the mean square is c/n, for every n. Another mean would stay, and flatten the line.
Proof idea  E_{y ~ p}[∇ℓ∇ℓᵀ] = H_n (see score_equations), so at the true θ each d_n has mean 0 and their mean is
            O(1/√N). θ̂ takes up some of it: d's mean is then that of the residual of d regressed on the scores ∇ℓ_n,
            whose sum is 0, and that residual's variance is the right one (Lancaster 1984). If p is not the truth,
            E[(e_y − p)²] given x is not p(1 − p), and no N mends that.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lab.evidence import Evidence, untold
from lab.problem import Problem
from lab.rate import judged, line
from lab.report.chart import Axis, Curve, chart
from lab.theorem import Condition, Setting, Theorem, Trail
from lab.theorems._conditions import no_ridge, plain_loss
from lab.theorems._optimum import optimum
from lab.theorems._separable import has_minimum
from lab.theorems.score_equations import one_label

LEVEL = 3.29  # a standard normal number is beyond it once in 1,000 times
ROWS = 20  # for each dimension
BLOCKS = (128, 64, 32, 16, 8, 4)  # how many the rows are cut into: few larger ones would scatter, and share θ̂ with all
WIDEST, SCATTER, DOUBT = 0.25, 0.08, 0.15  # of the slope: two deviations over samples, and what it may miss by chance


class InformationEquality(Theorem):
    """On data drawn from the model the gradients' outer product comes to be the Hessian, and only there."""

    statement = "at θ̂ the mean outer product of gradients tends to ∇²L as 1/√N on data drawn from the model"
    source = "White, Econometrica 50 (1982), Theorem 4.1"

    def conditions(self, setting: Setting) -> Iterator[Condition]:
        yield plain_loss(setting)
        yield one_label(setting)
        yield no_ridge(setting)
        data = setting.data
        drawn = data["kind"] == "synthetic" and not data.get("separable") and bool(data.get("intercept"))
        figure = f"data.kind {data['kind']}{'' if data.get('intercept') else ', and no intercept, which they have'}"
        yield Condition("rows drawn from the model", drawn, figure)
        yield has_minimum(setting)
        need = max(ROWS * math.prod(setting.problem.shape), BLOCKS[0])
        yield Condition(f"at least {need} rows", need <= setting.problem.N, f"N = {setting.problem.N}")

    def evidence(self, trail: Trail) -> Iterator[Evidence]:
        problem = trail.setting.problem
        found = optimum(problem, trail.setting.start)
        if found is None:
            yield untold("the maximum", "Newton's method did not reach it")
            return
        off = float((trail.theta - found.theta).norm() / found.theta.norm())
        if off > 1 / problem.N:  # well within the standard error, which is of the order 1/√N
            yield untold("the maximum", f"training ended {off:.2g} of its norm away from it")
            return
        z = statistic(problem, trail.theta)
        yield Evidence("tr H⁺(OPG − H)", abs(z), 0.0, LEVEL, f"{z:.3g} standard deviations, of the order 1/√N, from 0")
        n, apart = distances(problem, trail.theta)
        yield judged("‖OPG − H‖", line(n.log(), apart.log()), -0.5, WIDEST, "log n", SCATTER, DOUBT)

    def picture(self, trail: Trail) -> str:
        n, apart = distances(trail.setting.problem, trail.theta)
        curves = (Curve("‖OPG − H‖/‖H‖", n, apart), Curve("1/√n", n, apart[0] * (n / n[0]) ** -0.5, "dashed"))
        title = "Gradients' outer product and Hessian"
        return chart(title, Axis("rows n", log=True), Axis("relative distance", log=True), curves)


def distances(problem: Problem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes n of blocks of rows, ascending, and the root mean square of ‖OPG − H‖/‖H‖ over those of each size."""
    rows, size = _scores(problem, theta), float(problem.hessian(theta).norm())
    sizes, apart = [], []
    for blocks in BLOCKS:
        n = problem.N // blocks
        squares = []
        for first in range(0, n * blocks, n):
            part = slice(first, first + n)
            H = replace(problem, X=problem.X[part], y=problem.y[part]).hessian(theta)
            squares.append(float((rows[part].T @ rows[part] / n - H).square().sum()))
        sizes.append(float(n))
        apart.append(math.sqrt(sum(squares) / blocks) / size)
    return torch.tensor(sizes, dtype=torch.float64), torch.tensor(apart, dtype=torch.float64)


def statistic(problem: Problem, theta: Tensor) -> float:
    """√N·mean d over the standard deviation of d's part that no score explains."""
    rows, H = _scores(problem, theta), problem.hessian(theta)
    inverse = torch.linalg.pinv(H, hermitian=True)
    D, K = problem.shape
    z, X = problem.model.forward(problem.X, theta), problem.X
    h = problem.loss.hessian(z, problem.y)
    blocks = inverse.view(D, K, D, K)
    trace = torch.einsum("nd,dkel,ne,nlk->n", X, blocks, X, h)
    d = ((rows @ inverse) * rows).sum(dim=1) - trace
    explained = rows @ torch.linalg.lstsq(rows.T @ rows, rows.T @ d, driver="gelsd").solution
    return float(d.mean() / (d - explained).std()) * math.sqrt(len(d))


def _scores(problem: Problem, theta: Tensor) -> Tensor:
    """∇ℓ_n of every row, (N, D·K)."""
    g = problem.loss.gradient(problem.model.forward(problem.X, theta), problem.y)
    return (problem.X[:, :, None] * g[:, None, :]).reshape(problem.N, -1)
