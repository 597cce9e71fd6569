"""A derivation's page is printed as it was written, with headings where there is a terminal."""

import re

import pytest

from lab import catalog
from lab.cli import main
from lab.report import page

FILE = '''"""A loss of my own.

Value      ℓ = z²
"""

raise RuntimeError("a page is read, its file is not run")
'''


def pretend_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")


def printed(capsys, *words: str) -> str:
    assert main(["derive", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [*catalog.names("losses"), *catalog.names("models")])
def test_a_page_is_the_docstring_of_its_file_letter_for_letter(name, capsys):
    (found,) = page.find(name)
    module = __import__(f"lab.{found.kind}.{name}", fromlist=["__doc__"])
    assert printed(capsys, name) == module.__doc__.rstrip() + "\n"


def test_a_statements_page_has_its_code_and_the_verdict_it_gets_now(capsys):
    text = printed(capsys, "sigmoid_layer")
    assert text.startswith("A layer of sigmoids by its weights.")
    assert "\nStatement\n    ∇_W Y = Xᵀ(σ(XW)∘(1 − σ(XW)))" in text
    assert "\nFrom\n    001_" in text
    assert "\nClaim\n    def claim(self, X: Tensor, W: Tensor) -> Tensor:\n" in text
    assert "\nMend\n    def mend(self" in text
    assert "\nVerdict\n    wrong as stated\n" in text
    assert "as the Jacobian of Y, b = 5, d = 3: shape (3, 1) where (5, 3) is due" in text
    assert "\nRemark\n    Y has b entries" in text


def test_a_statement_that_fails_is_not_shown_as_it_was_expected(capsys, monkeypatch):
    member = catalog.get("identities", "trace_product")
    right = member.claim
    monkeypatch.setattr(member, "claim", lambda self, A: -right(self, A))
    assert "\nVerdict\n    wrong as stated; EXPECTED: holds\n" in printed(capsys, "trace_product")


def test_a_users_file_is_read_and_not_run(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    assert printed(capsys, str(path)) == "A loss of my own.\n\nValue      ℓ = z²\n"


def test_every_page_is_in_the_list(capsys):
    text = printed(capsys)
    for folder in page.FOLDERS:
        for name in catalog.names(folder):
            assert f"\n  {name} " in text
    assert re.search(r"\n  chain_rule +The chain rule for functions of matrices\n", text)


def test_a_terminal_gets_bold_headings_within_its_width(capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = printed(capsys, "sigmoid_layer")
    assert "\x1b[1mNumerics\x1b[0m" in text
    assert "\x1b[33m    wrong as stated\x1b[0m" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= 80
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert " ".join(text_of(lines)) == " ".join(text_of(printed(capsys, "sigmoid_layer").splitlines()))


def text_of(lines: list[str]) -> list[str]:
    """The words of a page, however its lines are broken."""
    return [word for line in lines for word in line.split()]


def test_no_color_leaves_weight_and_no_colour(capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(capsys, "sigmoid_layer")
    assert "\x1b[1mNumerics\x1b[0m" in text
    assert not re.search(r"\x1b\[[\d;]*\b[349]\d", text)


def test_a_list_on_a_terminal_is_cut_to_its_width(capsys, monkeypatch):
    pretend_a_terminal(monkeypatch)
    assert max(map(len, printed(capsys).splitlines())) <= 80


@pytest.mark.parametrize("line", ["a = b", "Value:  x", "x, y (N, K)  numbers", "    Value  of an indented line"])
def test_what_is_no_heading_is_not_taken_for_one(line):
    assert not page.HEADING.fullmatch(line)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory); name a Python file"),
        ("x = 1\n", "no page; write the derivation as the file's first statement, a docstring"),
        ("\ndef f(:\n", ":2: not Python (invalid syntax); mend it first"),
        ("\0", "not Python"),
    ],
)
def test_a_file_without_a_page_is_told_so_in_one_line(text, said, tmp_path, capsys):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    assert main(["derive", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(str(path))
    assert said in err


def test_an_unknown_name_gets_a_guess_and_nothing_is_printed(capsys):
    assert main(["derive", "softmax", "sigmoid_layr"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "lab derive: no page for 'sigmoid_layr'; did you mean 'sigmoid_layer'? `lab derive` lists what there is\n"
    )
