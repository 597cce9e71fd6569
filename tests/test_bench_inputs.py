"""Inputs drawn from declared shapes are what was declared, tell letters apart, and go to extremes."""

from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lab
from lab import inputs
from lab.errors import InputError

KINDS = ("real", *sorted(set(inputs.KINDS) - {"real", "symmetric", "definite"}))


def drawn(shapes):
    return list(inputs.draw(shapes, torch.Generator().manual_seed(1)))


axes = st.lists(st.sampled_from("ndkm35"), min_size=1, max_size=3)


@given(st.lists(st.tuples(axes, st.sampled_from(KINDS)), min_size=1, max_size=4))
def test_every_declaration_is_drawn_as_it_says_and_letters_have_lengths_of_their_own(declared):
    shapes = {
        f"x{i}": " ".join([*letters, kind] if kind != "real" else letters) for i, (letters, kind) in enumerate(declared)
    }
    for tensors in drawn(shapes):
        length: dict[str, int] = {}
        for tensor, (letters, kind) in zip(tensors, declared, strict=True):
            assert tensor.ndim == len(letters)
            for axis, size in zip(letters, tensor.shape, strict=True):
                assert length.setdefault(axis, size) == size
                assert size == int(axis) or not axis.isdigit() if axis.isdigit() else size > 1
            assert torch.isfinite(tensor).all()
            check_kind(kind, tensor)
        letters_used = {a: n for a, n in length.items() if not a.isdigit()}
        assert len(set(letters_used.values())) == len(letters_used)


def check_kind(kind: str, x: torch.Tensor) -> None:
    if kind == "onehot":
        assert torch.equal(x.sum(-1), torch.ones_like(x.sum(-1)))
        assert set(x.unique().tolist()) <= {0.0, 1.0}
    if kind == "probabilities":
        assert torch.allclose(x.sum(-1), torch.ones_like(x.sum(-1)))
        assert (x > 0).all()
    if kind == "binary":
        assert set(x.unique().tolist()) <= {0.0, 1.0}
    if kind == "signs":
        assert set(x.unique().tolist()) <= {-1.0, 1.0}
    if kind == "positive":
        assert (x > 0).all()
    if kind == "unit":
        assert ((x > 0) & (x < 1)).all()


def test_the_first_argument_goes_from_zero_to_where_exp_overflows_in_float32():
    largest = [float(z.abs().max()) for z, _ in drawn({"z": "n k", "X": "m n"})]
    assert sorted(largest)[0] == 0
    assert sorted(largest)[-1] == pytest.approx(120)
    assert all(float(X.abs().max()) < 10 for _, X in drawn({"z": "n k", "X": "m n"}))


def test_labels_are_whole_and_each_occurs_where_there_is_room():
    for _, y in drawn({"theta": "d k", "y": "9 labels k"}):
        assert y.dtype == torch.int64
    for z, y in drawn({"z": "2 k", "y": "9 labels k"}):
        assert set(y.tolist()) == set(range(z.shape[1]))


def test_matrices_are_symmetric_or_positive_definite():
    for S, P in drawn({"S": "d d symmetric", "P": "d d positive definite"}):
        assert torch.equal(S, S.mT)
        assert torch.linalg.eigvalsh(P).min() > 0
        assert torch.equal(P, P.mT)


BAD = {
    "no text": ({"x": 3}, "declares no shape"),
    "an unknown word": ({"x": "n labells k"}, "did you mean 'labels'"),
    "labels of nothing": ({"x": "n labels"}, "labels of how many classes"),
    "words after a kind": ({"x": "n binary k"}, "after 'binary' means nothing"),
    "a matrix that is not square": ({"x": "n d definite"}, "is square"),
    "probabilities along nothing": ({"x": "probabilities"}, "lie along an axis"),
    "a length of none": ({"x": "0 d"}, "neither a letter, a length nor a kind"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_declaration_that_makes_no_sense_is_refused_by_name(case):
    shapes, says = BAD[case]
    with pytest.raises(InputError, match=says) as caught:
        drawn(shapes)
    assert str(caught.value).startswith("'x': ")


@given(st.text(max_size=20))
def test_any_text_is_a_declaration_or_an_input_error(text):
    with suppress(InputError):
        assert len(drawn({"x": text})) == len(inputs.SCALES)


def test_shapes_and_arguments_must_name_the_same():
    class Mine(lab.Derivation):
        shapes = {"theta": "d", "X": "n d"}

        def value(self, theta, y):
            return theta.sum()

        def gradient(self, theta, y):
            return torch.ones_like(theta)

    with pytest.raises(InputError, match="no argument is called 'X'"):
        lab.check(Mine)
    Mine.shapes = {"theta": "d"}
    with pytest.raises(InputError, match="what does 'y' look like"):
        lab.check(Mine)


def test_shapes_may_stand_in_any_order():
    class Mine(lab.Derivation):
        shapes = {"b": "m", "A": "m n", "x": "n"}

        def value(self, x, A, b):
            return (A @ x - b).square().sum() / 2

        def gradient(self, x, A, b):
            return A.T @ (A @ x - b)

        def hessian(self, x, A, b):
            return A.T @ A

    assert [str(v) for v in lab.check(Mine) if not v.passed] == []
