"""How weights, gradient and margins are distributed, for TensorBoard's Histograms and Distributions.

The margin of a row is by how much its own class's logit leads the best of the others (softmax), or how far its logit
lies on its label's side of 0 (sigmoid): negative where the row is misclassified, and growing without end where the
classes can be separated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge

from lab.picture.counts import histogram, histogram_of_sizes
from lab.probe import Probe, Reading, Step


@dataclass(frozen=True)
class Histograms(Probe):
    """Show how the weights, the gradient's entries (and log10 of their sizes) and the logits' margins are distributed.

    The margins are of the step's own batch.
    """

    every: Annotated[int, Ge(1)] = 10

    def measure(self, step: Step) -> Mapping[str, Reading]:
        problem, gradient = step.problem, step.gradient.cpu().numpy()
        found = {
            "distribution/weights": histogram(step.theta.cpu().numpy()),
            "distribution/gradient": histogram(gradient),
            "distribution/log10_gradient": histogram_of_sizes(gradient),
        }
        margins = [problem.loss.margin(problem.model.forward(X, step.theta), y) for X, y in problem.blocks()]
        known = [margin.reshape(-1) for margin in margins if margin is not None]
        if known:
            found["distribution/margins"] = histogram(torch.cat(known).cpu().numpy())
        return {tag: shown for tag, shown in found.items() if shown is not None}
