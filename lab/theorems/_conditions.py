"""What several theorems suppose of a run, each said with the figure that decides it."""

from collections.abc import Iterator

from lab.theorem import Condition, Setting

CEILING = {"sigmoid": 1 / 4, "softmax": 1 / 2}  # c: h ⪯ c I at all logits (Böhning 1992, Theorem 3.1; σ(1 − σ) ≤ 1/4)


def plain_loss(setting: Setting, *kinds: str) -> Condition:
    """The loss is one of these (by default σ or softmax), a mean, with no weights and no smoothing."""
    allowed = kinds or tuple(CEILING)
    plain = setting.problem.loss == type(setting.problem.loss)() and not setting.data.get("weight")
    met = setting.loss in allowed and plain and setting.problem.model.is_product
    figure = setting.loss if plain else f"{setting.loss} with options or weights"
    return Condition(f"the mean of a plain {' or '.join(allowed)} of a linear model", met, figure)


def binary(setting: Setting) -> Condition:
    """There is one logit."""
    K = setting.problem.shape[1]
    return Condition("one logit, K = 1", K == 1, f"K = {K}")


def full_batch(setting: Setting) -> Condition:
    """Every step descends on all rows."""
    size = setting.batch_size
    return Condition("full batch", size is None or size >= setting.problem.N, "" if size is None else f"{size} rows")


def gradient_descent(setting: Setting) -> Iterator[Condition]:
    """θ₊ = θ − lr ∇L(θ), on all rows."""
    yield full_batch(setting)
    options = setting.optimizer
    extras = [key for key in ("momentum", "dampening", "weight_decay", "nesterov", "maximize") if options.get(key)]
    met = options["kind"] == "sgd" and not extras
    figure = f"{options['kind']}{' with ' + ', '.join(extras) if extras else ''}, lr = {setting.lr:.6g}"
    yield Condition("plain gradient descent", met, figure)


def no_ridge(setting: Setting) -> Condition:
    """ρ = 0."""
    return Condition("no ridge", setting.problem.ridge == 0, f"ρ = {setting.problem.ridge:g}")


def zero_start(setting: Setting) -> Condition:
    """θ₀ = 0."""
    size = float(setting.start.abs().max())
    return Condition("training starts at θ = 0", size == 0, f"max |θ₀| = {size:.3g}")
