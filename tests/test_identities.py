"""Every statement of the sources gets the verdict that is due, and no wrong version of one goes unseen."""

import importlib
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lab import catalog, ledger
from lab.errors import InputError
from lab.identity import CROSS_ENTROPY, JACOBIAN_HESSIAN, RULES, Finding, Identity, Judgement

IDENTITIES = catalog.members("identities")
STATED = [(name, method) for name, each in IDENTITIES.items() for method in ("claim", "mend") if hasattr(each, method)]
# 2A is claimed of a symmetric A, of which 2Aᵀ is as true; of others 2A and 2Aᵀ are both wrong.
OWN_TRANSPOSE = {("quadratic_form_hessian", "claim")}


def entry_off(right: Tensor) -> Tensor:
    wrong = right.flatten().clone()
    wrong[0] += 1
    return wrong.reshape(right.shape)


PLANTS = {
    "sign": lambda right: -right,
    "factor 2": lambda right: 2 * right,
    "a millionth": lambda right: right * (1 + 1e-6),
    "nothing": lambda right: 0 * right,
    "an entry": entry_off,
    "transposed": lambda right: right.mT.contiguous() if right.ndim == 2 else right.flip(0) if right.ndim else right,
}


@pytest.fixture(params=IDENTITIES)
def identity(request: pytest.FixtureRequest) -> Identity:
    made: Identity = IDENTITIES[request.param]()
    return made


def judged(identity: Identity, seed: int = ledger.SEED) -> Finding:
    return identity.judge(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_statement_gets_the_verdict_that_is_due(identity, seed):
    finding = judged(identity, seed)
    assert finding.sound, "\n".join(ledger.record("", finding))


def planted(monkeypatch, member, method, plant):
    """Put a wrong version in a method's place; return a list that is filled once it has given a wrong answer."""
    right, wrongs = getattr(member, method), []

    def wrong(self, *inputs):
        truth = right(self, *inputs)
        given = PLANTS[plant](truth)
        if given.shape != truth.shape or not torch.allclose(given.double(), truth.double(), rtol=1e-9):
            wrongs.append(given)
        return given

    monkeypatch.setattr(member, method, wrong)
    return wrongs


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize(("name", "method"), STATED)
def test_a_wrong_version_of_a_statement_is_seen(name, method, plant, monkeypatch):
    wrongs = planted(monkeypatch, IDENTITIES[name], method, plant)
    finding = judged(IDENTITIES[name]())
    if plant == "transposed":  # of a number, or of a symmetric matrix, it is no mistake
        assert finding.sound == (not wrongs or (name, method) in OWN_TRANSPOSE)
    else:
        assert wrongs
        assert not finding.sound


def assert_placed(identity):
    """Assert that a statement stands under a heading of one of the files, or of a work that its source cites."""
    known = (CROSS_ENTROPY, RULES, JACOBIAN_HESSIAN)
    cites = re.search(r"\w\D*\b\d{4}\b", identity.source) and not identity.source.endswith(".txt")
    assert identity.source in known or cites, f"{identity.source!r} is neither of {known} nor a work with its year"
    assert identity.heading.strip()


def test_a_remark_says_what_the_source_leaves_out(identity):
    assert identity.expected is Judgement.HOLDS or identity.remark
    assert identity.statement
    assert_placed(identity)


@pytest.mark.parametrize(
    ("source", "heading", "placed"),
    [
        ("Magnus & Neudecker, Matrix Differential Calculus (2019)", "§8.3", True),
        (RULES, "Useful Identities 1", True),
        ("Magnus & Neudecker (2019)", " ", False),
        ("somewhere", "§8.3", False),
        ("2019", "§8.3", False),
        (RULES.replace("1", "4", 1), "Useful Identities 1", False),
        ("", "§8.3", False),
    ],
)
def test_a_statement_may_cite_a_work_of_its_own_and_no_file_that_there_is_not(source, heading, placed):
    class Cited(IDENTITIES["trace_cyclic"]):
        pass

    Cited.source, Cited.heading = source, heading
    if placed:
        assert_placed(Cited())
        assert f"  source    {source}, {heading}" in list(ledger.record("mine", judged(Cited())))
    else:
        with pytest.raises(AssertionError):
            assert_placed(Cited())


def test_a_statements_page_is_its_module(identity):
    page = importlib.import_module(type(identity).__module__).__doc__ or ""
    assert len(page.splitlines()) >= 3


def test_every_numbered_rule_of_the_sources_is_judged():
    headings = [each.heading for each in IDENTITIES.values() if each.source == RULES]
    numbered = {"Derivative Rules": 12, "Useful Identities": 5, "Probability and Expectation Rules": 1}
    for heading, numbers in numbered.items():
        found = {int(h.rsplit(" ", 1)[1]) for h in headings if re.fullmatch(rf"{heading} \d+", h)}
        assert found == set(range(1, numbers + 1)), heading
    assert headings.count("Derivative Rules 1") == 2  # one for a symmetric A, one for any
    assert len(headings) == len(set(headings)) + 1  # and no other statement twice
    assert "Jacobian" in headings


def test_every_section_of_the_other_sources_is_judged():
    found = {(each.source, each.heading) for each in IDENTITIES.values()}
    assert (CROSS_ENTROPY, "Jacobian") in found
    for heading in ("Jacobian Matrix", "Second derivative and Curvature", "Hessian Matrix"):
        assert (JACOBIAN_HESSIAN, heading) in found


def test_the_source_with_the_wrong_shape_is_told_both_shapes():
    finding = judged(IDENTITIES["sigmoid_layer"]())
    text = "\n".join(ledger.record("sigmoid_layer", finding))
    assert finding.verdict is Judgement.WRONG
    assert "shape (3, 1) where (5, 3) is due" in text
    assert re.search(r"right is: Xᵀ\(σ∘\(1 − σ\)\) = \(.*\) as the gradient of ΣY: .* of what rounding allows", text)


def test_no_two_pieces_of_evidence_are_worded_alike_within_a_statement_or_of_the_hessian():
    found = ledger.judge()
    for name, finding in found.items():
        said = [(each.role, each.what) for each in finding.evidence]
        assert len(said) == len(set(said)), name
    of_hessian = [
        {each.what for each in found[name].evidence} for name in ("hessian_definition", "hessian_as_jacobian")
    ]
    assert not set.intersection(*of_hessian)


def test_the_tally_names_what_is_wrong_or_untold():
    findings = {name: judged(IDENTITIES[name]()) for name in ("sigmoid_layer", "trace_cyclic")}
    assert "1 wrong as stated (sigmoid_layer)" in ledger.tally(findings)


def test_the_tally_reads_as_a_sentence():
    one, condition, untold = judged(IDENTITIES["trace_cyclic"]()), Judgement.CONDITION, Judgement.UNTOLD
    verdicts = (Judgement.HOLDS, condition, condition, untold, untold)
    findings = {name: replace(one, verdict=each, expected=each) for name, each in zip("abcde", verdicts, strict=True)}
    said = "5 statements: 1 holds, 2 hold under a condition, of 2 nothing can be told (d, e); all as expected"
    assert ledger.tally(findings) == said


def test_the_ledger_prints_statement_source_verdict_and_evidence(capsys):
    assert ledger.check_ledger(["trace_cyclic", "softmax_derivative"]) == 0
    printed = capsys.readouterr().out
    assert "trace_cyclic: Tr(AB) = Tr(BA)\n  source    001_d3757a0fd4e5a779.txt, Useful Identities 1\n" in printed
    assert "  verdict   holds under a condition\n" in printed
    assert "  evidence  without its condition: rows and columns of AB, A 3×5, B 5×4: 3 where 4 is due" in printed
    assert printed.endswith("2 statements: 1 holds, 1 holds under a condition; all as expected\n")
    assert "\x1b" not in printed
    assert printed.index("softmax_derivative") < printed.index("trace_cyclic")


def test_the_ledger_fails_on_a_statement_that_should_hold_and_does_not(capsys, monkeypatch):
    planted(monkeypatch, IDENTITIES["trace_product"], "claim", "sign")
    assert ledger.check_ledger(["trace_product"]) == 1
    printed = capsys.readouterr().out
    assert "wrong as stated; EXPECTED: holds\n" in printed
    assert printed.endswith("NOT AS EXPECTED: trace_product\n")


def test_the_ledger_fails_on_a_mend_that_does_not_hold(capsys, monkeypatch):
    planted(monkeypatch, IDENTITIES["sigmoid_layer"], "mend", "factor 2")
    assert ledger.check_ledger(["sigmoid_layer"]) == 1
    assert "BUT NOT SHOWN: diag(σ∘(1 − σ))X, first row" in capsys.readouterr().out


def test_the_ledger_draws_a_table_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert ledger.check_ledger(["linear_form"]) == 0
    printed = capsys.readouterr().out
    assert all(column in printed for column in ledger.COLUMNS)
    assert "∂/∂x aᵀx = a" in printed


def test_an_unknown_statement_gets_a_guess():
    with pytest.raises(InputError, match="did you mean 'trace_cyclic'"):
        ledger.check_ledger(["trace_cyclical"])


def test_a_statements_figures_do_not_depend_on_the_others():
    alone = ledger.judge(["quadratic_form"])["quadratic_form"]
    assert ledger.judge(["linear_form", "quadratic_form"])["quadratic_form"] == alone
