"""The report is one page that needs nothing else, and its formulas, pictures and verdicts are those of the ledger."""

import math
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from html.parser import HTMLParser

import pytest
import torch

from lab import catalog, ledger
from lab.cli import main
from lab.evidence import Role
from lab.report import heatmap, html
from lab.report.mathml import FUNCTIONS, mathml

STATEMENTS = {name: member.statement for name, member in catalog.members("identities").items()}
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, which must be closed in order, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.count, self.ids, self.links, self.text = [], Counter(), set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.count[tag] += 1
        given = dict(attributes)
        self.ids.add(given.get("id"))
        self.links += [given[key] for key in ("href", "src", "action", "data", "srcset", "xlink:href") if key in given]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page() -> Page:
    with torch.no_grad():
        findings = ledger.judge()
    text = html.page(html.of_ledger(findings), [ledger.tally(findings)])
    made = Page(text)
    made.raw, made.findings = text, findings
    return made


def leaves(xml: str) -> list[tuple[str, str]]:
    return [(node.tag, node.text) for node in ElementTree.fromstring(xml).iter() if not len(node) and node.text]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_character_of_a_statement_is_lost_or_added_by_typesetting(name):
    plain = "".join(lowered(character) for character in STATEMENTS[name] if character not in " _")
    drawn = "".join(re.sub(r"\s", "", text) for _, text in leaves(mathml(STATEMENTS[name]))).replace("∑", "Σ")
    fractions = mathml(STATEMENTS[name]).count("<mfrac>")
    assert Counter(plain) - Counter(drawn) == Counter("/" * fractions)
    assert Counter(drawn) - Counter(plain) == Counter()


def lowered(character: str) -> str:
    """A raised or lowered character on the line."""
    is_script = unicodedata.decomposition(character).startswith(("<super>", "<sub>"))
    return unicodedata.normalize("NFKD", character) if is_script else character


def inner(formula: str) -> str:
    return re.sub(r"^<math[^>]*><mrow>|</mrow></math>$", "", mathml(formula))


def mi(letters: str) -> str:
    return "".join(f"<mi>{letter}</mi>" for letter in letters)


@pytest.mark.parametrize(
    ("formula", "xml"),
    [
        ("Ax", mi("Ax")),
        ("xᵀA", f"<msup>{mi('x')}<mrow>{mi('T')}</mrow></msup>{mi('A')}"),
        ("A⁻¹", f"<msup>{mi('A')}<mrow><mo>−</mo><mn>1</mn></mrow></msup>"),
        ("H_ij", f"<msub>{mi('H')}<mrow>{mi('ij')}</mrow></msub>"),
        ("J₃₂", f"<msub>{mi('J')}<mrow><mn>3</mn><mn>2</mn></mrow></msub>"),
        ("F_y⁻¹", f"<msubsup>{mi('F')}<mrow>{mi('y')}</mrow><mrow><mo>−</mo><mn>1</mn></mrow></msubsup>"),
        ("x_{k+1}", f"<msub>{mi('x')}<mrow>{mi('k')}<mo>+</mo><mn>1</mn></mrow></msub>"),
        ("∂f/∂X", f"<mfrac><mrow><mo>∂</mo>{mi('f')}</mrow><mrow><mo>∂</mo>{mi('X')}</mrow></mfrac>"),
        ("a / b", f"{mi('a')}<mo>/</mo>{mi('b')}"),
        ("/b", f"<mo>/</mo>{mi('b')}"),
        ("Σᵢ λᵢ", f"<munder><mo>∑</mo><mrow>{mi('i')}</mrow></munder><msub>{mi('λ')}<mrow>{mi('i')}</mrow></msub>"),
        ("AΣ", mi("AΣ")),
        ("det A", f'<mi>det</mi><mspace width="0.17em"/>{mi("A")}'),
        ("y = −x", f'{mi("y")}<mo>=</mo><mo form="prefix">−</mo>{mi("x")}'),
        ("a − x", f"{mi('a')}<mo>−</mo>{mi('x')}"),
        ("n of f's", f"{mi('n')}<mtext>\xa0</mtext><mtext>of</mtext><mtext>\xa0</mtext>{mi('f')}<mtext>'s</mtext>"),
        ("X^T v", f'<msup>{mi("X")}<mrow>{mi("T")}</mrow></msup><mspace width="0.17em"/>{mi("v")}'),
        ("a - x", f"{mi('a')}<mo>−</mo>{mi('x')}"),
        ("dL/dtheta", f"<mfrac><mrow>{mi('dL')}</mrow><mrow>{mi('dθ')}</mrow></mfrac>"),
        ("x < y", f"{mi('x')}<mo>&lt;</mo>{mi('y')}"),
        ("(x", f"<mo>(</mo>{mi('x')}"),
        ("x)", f"{mi('x')}<mo>)</mo>"),
    ],
)
def test_the_notation_is_read_as_a_person_reads_it(formula, xml):
    assert inner(formula) == xml


@pytest.mark.parametrize("word", sorted(FUNCTIONS))
def test_a_functions_name_stands_upright(word):
    assert f"<mi>{word}</mi>" in mathml(f"{word}(x)")


@pytest.mark.parametrize(
    "formula", ["", " ", "_", "x_", "((", "|", "/", "a//b", "ᵀ", "x_{", "x_{a", "'s", "&<>\"'", "∂/", "x′″"]
)
def test_what_is_no_formula_is_set_as_it_is(formula):
    ElementTree.fromstring(mathml(formula))


def test_a_heat_map_marks_what_is_above_one_and_says_where():
    ratios = torch.tensor([[0.0, 0.005, 0.05, 0.5], [1.0, 50.0, 1e5, math.inf]], dtype=torch.float64)
    drawn = ElementTree.fromstring(heatmap.heat_map(ratios))
    cells = drawn.findall(".//rect")
    assert [cell.get("class") for cell in cells] == ["q0", "q1", "q2", "q3", "q3", "q4", "q5", "q6"]
    assert cells[5].find("title").text == "[1, 1]: 50"
    assert len(drawn.findall(".//circle")) == 3
    assert drawn.find("figcaption").text == "2×4"


def test_a_large_heat_map_shows_the_worst_of_each_cell():
    ratios = torch.zeros(65, 3, 40)
    ratios[64, 2, 39] = 7.0
    drawn = ElementTree.fromstring(heatmap.heat_map(ratios))
    classes = [cell.get("class") for cell in drawn.findall(".//rect")]
    assert len(classes) == 22 * 60
    assert classes.count("q4") == 1
    assert classes[-1] == "q4"
    assert drawn.find("figcaption").text == "65×3×40, a cell the worst of 3×2 entries"


@pytest.mark.parametrize("shape", [(), (3,), (0,), (0, 4), (2, 3, 4)])
def test_a_tensor_of_any_shape_has_a_heat_map_or_none(shape):
    drawn = heatmap.heat_map(torch.ones(shape))
    assert drawn.count("<rect") == torch.ones(shape).numel()


def test_a_remainder_is_drawn_where_it_is_finite_and_positive():
    curve = torch.tensor([[0.1, 0.01, 0.001, 1e-4], [1e-2, 1e-4, 0.0, math.nan], [1e-3, 1e-3, 1e-3, 1e-3]])
    drawn = ElementTree.fromstring(heatmap.falling(curve.double()))
    assert [dot.get("class") for dot in drawn.findall(".//circle")] == ["q3", "q0"]
    assert heatmap.falling(torch.tensor([[0.1, 0.2], [0.0, 0.0], [0.0, 0.0]])) == ""


def contrast(first: str, second: str) -> float:
    """The contrast of two colours (WCAG 2.2, §1.4.3)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [heatmap.LIGHT, heatmap.DARK])
def test_colours_step_away_from_the_page_on_both_sides_of_one(palette):
    paper = "#ffffff" if palette is heatmap.LIGHT else "#15191e"
    steps = [contrast(paper, colour) for colour in palette]
    assert steps[:4] == sorted(steps[:4])
    assert steps[4:] == sorted(steps[4:])


def test_the_page_is_whole_and_fetches_nothing(page):
    assert page.open == []
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.links) == len(STATEMENTS)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.count)
    assert "default-src 'none'" in page.raw
    assert not re.search(r"url\(|@import|https?:", page.raw)


def test_every_statement_has_formula_code_verdict_remark_and_pictures(page):
    assert page.count["math"] == page.count["article"] == len(STATEMENTS)
    pictures = 0
    for name, finding in page.findings.items():
        assert name in page.ids
        for text in (ledger.verdict(finding), finding.remark, *(str(each) for each in finding.evidence)):
            assert text in page.text
        pictures += sum(each.ratios is not None or each.curve is not None for each in finding.evidence)
        assert "def claim(self" in page.text
    assert page.count["figure"] == pictures > 100


def test_a_counterexamples_picture_says_that_it_is_off_on_purpose(page):
    wanted = [
        each
        for finding in page.findings.values()
        for each in finding.evidence
        if each.role is Role.OUTSIDE and each.ratios is not None
    ]
    assert page.text.count(html.COUNTEREXAMPLE) == len(wanted) > 0


def test_what_is_not_as_it_should_be_stands_out(monkeypatch):
    member = catalog.get("identities", "trace_product")
    right = member.claim
    monkeypatch.setattr(member, "claim", lambda self, A: -right(self, A))
    findings = ledger.judge(["trace_product"])
    (entry,) = html.of_ledger(findings)
    assert entry.mark == html.FAILED
    assert "EXPECTED: holds" in entry.verdict
    assert 'class="q6"' in entry.evidence[0][1]


def test_check_writes_the_report_and_prints_the_table_as_ever(tmp_path, capsys):
    path = tmp_path / "out.html"
    assert main(["check", "trace_cyclic", "--report", str(path)]) == 0
    assert capsys.readouterr().out.startswith("trace_cyclic: Tr(AB) = Tr(BA)\n")
    assert Page(path.read_text(encoding="utf-8")).count["article"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["out.html"]


MINE = '''"""A loss of mine <&>.

Value      L = Σᵢ xᵢ³/3
Gradient   ∂L/∂x = x∘x
Numerics   nothing to say
"""
import lab, torch

class Mine(lab.Derivation):
    shapes = {"x": "n"}
    def value(self, x):
        return (x**3).sum() / 3
    def gradient(self, x):
        return FACTOR * x**2

class Wrong(torch.autograd.Function):
    shapes = {"x": "n"}
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        return FACTOR * 2 * ctx.saved_tensors[0] * g
'''


@pytest.mark.parametrize(("factor", "code", "worst"), [(1, 0, "q3"), (3, 1, "q6")])
def test_a_users_file_is_in_the_report_beside_statements(factor, code, worst, tmp_path, capsys):
    path, out = tmp_path / "mine.py", tmp_path / "out.html"
    path.write_text(MINE.replace("FACTOR", str(factor)))
    assert main(["check", str(path), "trace_cyclic", "--report", str(out)]) == code
    printed = capsys.readouterr().out
    made = Page(out.read_text(encoding="utf-8"))
    assert {"trace_cyclic", "Mine", "Wrong"} <= made.ids
    assert made.count["math"] == 1 + 2 * 2  # the statement, and value and gradient for each class of the file
    assert "A loss of mine <&>." in made.text
    assert f"return {factor} * x**2" in made.text
    assert f"return {factor} * 2 * ctx.saved_tensors" in made.text
    assert "2 of 2 wrong" in made.text if code else "✓ right" in made.text
    for tally in printed.splitlines()[-1:]:
        assert tally in made.text
    assert f'class="{worst}"' in out.read_text(encoding="utf-8").partition('id="Mine"')[2]


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ledger, "judge", lambda names: pytest.fail("it was judged"))
    for place, said in ((tmp_path, "is a folder; name a file"), (tmp_path / "no" / "a.html", "there is no folder")):
        assert main(["check", "--report", str(place)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert said in err


def test_an_unknown_statement_leaves_no_report(tmp_path, capsys):
    assert main(["check", "nonsense", "--report", str(tmp_path / "a.html")]) == 2
    assert list(tmp_path.iterdir()) == []
