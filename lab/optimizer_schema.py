"""The options of torch.optim's optimizers, read from their signatures: a second list here could only disagree."""

import inspect
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Gt


def torch_kinds() -> dict[str, type[Any]]:
    """torch's optimizers by lower-case class name; without SparseAdam, which wants sparse gradients."""
    from torch import optim

    classes = [c for c in vars(optim).values() if inspect.isclass(c) and issubclass(c, optim.Optimizer)]
    return {c.__name__.lower(): c for c in classes if c not in (optim.Optimizer, optim.SparseAdam)}


def torch_fields(optimizer: type[Any]) -> dict[str, tuple[Any, Any]]:
    """An optimizer's options, apart from the parameters: name -> (type, default); default `...` where required."""
    options = list(inspect.signature(optimizer, eval_str=True).parameters.values())[1:]
    fields = {o.name: (_plain(o.annotation), ... if o.default is o.empty else o.default) for o in options}
    _, default = fields["lr"]
    return fields | {"lr": (Annotated[float, Gt(0)], default)}


def try_options(kind: str, options: dict[str, Any]) -> None:
    """Make the optimizer once, on nothing. Raises: ValueError, in torch's words, for options that it refuses."""
    import torch

    from lab.optimizer import FromTorch

    try:
        FromTorch(torch_kinds()[kind], options, torch.zeros(1, 1))
    except (RuntimeError, TypeError) as error:
        raise ValueError(str(error)) from None


def _plain(hint: Any) -> Any:
    """A type hint without the tensors that torch also takes."""
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(_plain(arg) for arg in get_args(hint) if getattr(arg, "__name__", "") != "Tensor")]  # noqa: UP007
    if get_origin(hint) is tuple:
        return tuple[tuple(_plain(arg) for arg in get_args(hint))]  # type: ignore[misc]
    return hint
