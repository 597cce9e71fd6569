"""`lab check FILE.py` on small files that are written out in full."""

from lab.cli import main


def test_a_helper_that_says_nothing_of_its_inputs_is_left_to_who_uses_it(tmp_path, capsys):
    (tmp_path / "f.py").write_text(
        "import lab, torch\n"
        "class Help(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x):\n"
        "        return 2 * x\n"
        "    @staticmethod\n"
        "    def backward(ctx, g):\n"
        "        return 2 * g\n"
        "class Sum(lab.Derivation):\n"
        "    shapes = {'x': 'n'}\n"
        "    def value(self, x):\n"
        "        return x.square().sum()\n"
        "    def gradient(self, x):\n"
        "        return Help.apply(x)\n"
    )
    assert main(["check", str(tmp_path / "f.py")]) == 0
    assert "Help" not in capsys.readouterr().out


def test_a_misspelt_derivative_is_said_to_be_one(tmp_path, capsys):
    (tmp_path / "f.py").write_text(
        "import lab\n"
        "class Square(lab.Derivation):\n"
        "    shapes = {'x': 'n'}\n"
        "    def value(self, x):\n"
        "        return x.square().sum()\n"
        "    def gradient(self, x):\n"
        "        return 2 * x\n"
        "    def hessain(self, x):\n"
        "        return 0\n"
    )
    assert main(["check", str(tmp_path / "f.py")]) == 2
    said = "Square: hessain: not a name that is judged; did you mean 'hessian'? Rename it if it is not"
    assert capsys.readouterr().err == f"{tmp_path / 'f.py'}:2: {said}\n"


def test_numbers_that_pass_through_numpy_are_judged_by_an_estimate(tmp_path, capsys):
    (tmp_path / "f.py").write_text(
        "import lab, numpy, torch\n"
        "class Sine(lab.Derivation):\n"
        "    shapes = {'x': 'n'}\n"
        "    def value(self, x):\n"
        "        return x.sin().sum()\n"
        "    def gradient(self, x):\n"
        "        return torch.from_numpy(numpy.cos(x.numpy()))\n"
    )
    assert main(["check", str(tmp_path / "f.py")]) == 0
    assert "numbers leave torch, as for NumPy" in capsys.readouterr().out
