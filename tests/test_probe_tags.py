"""A tag is of one reading: no probe hides what another, or training itself, logs of a step."""

import operator
from dataclasses import dataclass

import pytest
from conftest import TINY

from lab import catalog, config, launch
from lab.console import Silent
from lab.errors import InputError
from lab.experiment import assemble
from lab.probe import Probe


@dataclass(frozen=True)
class Echo(Probe):
    """Logs a number under a tag that is another's."""

    tag: str = ""
    number: float = 1.0

    def measure(self, step):
        return {self.tag: self.number}


@pytest.mark.parametrize(
    ("tag", "by", "whose"),
    [
        ("loss/train", "probes.echo", "training"),
        ("curvature/trace", "probes.echo", "probes.spectrum"),
        ("twin/drift", "twin", "probes.echo"),
    ],
)
def test_a_probe_that_logs_under_anothers_tag_is_refused(tag, by, whose, tiny, tmp_path):
    experiment = assemble(config.from_mapping({**tiny, "twin": "autograd", "probes": {"spectrum": {}}}, {}))
    experiment.probes["echo"] = Echo(tag=tag)
    with pytest.raises(InputError) as error:
        launch.launch(experiment, tmp_path, Silent(), ["test"])
    told = f"step 0, {by}: the tag {tag!r} is that of a reading of {whose} too; give each its own; mend it ("
    assert str(error.value).startswith(told)


@pytest.mark.parametrize("name", ["theta", "gradient", "after", "problem.X", "full.y"])
def test_a_probe_that_writes_to_what_it_is_shown_is_refused(name, tiny, tmp_path):
    class Writes(Echo):
        def measure(self, step):
            operator.attrgetter(name)(step).add_(1)
            return {}

    experiment = assemble(config.from_mapping({**tiny, "batch_size": 8, "probes": {}}, {}))
    experiment.probes["echo"] = Writes()
    with pytest.raises(InputError, match=f"step 0, probes.echo: measure wrote to step.{name}; a probe changes nothing"):
        launch.launch(experiment, tmp_path, Silent(), ["test"])


def test_a_tag_of_its_own_is_a_probes_whatever_it_reads(tiny, tmp_path):
    experiment = assemble(config.from_mapping({**tiny, "probes": {}}, {}))
    experiment.probes["echo"] = Echo(tag="mine/number", number=float("nan"))
    assert launch.launch(experiment, tmp_path, Silent(), ["test"]).status == "finished"


def test_no_probe_of_the_lab_logs_under_anothers_tag(tmp_path):
    every = {"probes": {name: {} for name in catalog.names("probes")}, "steps": 2}
    for i, data in enumerate(({}, {"data": {"kind": "sklearn", "name": "digits"}, "batch_size": 500})):
        experiment = assemble(config.from_mapping({**TINY, **data, **every}, {}))
        assert launch.launch(experiment, tmp_path / str(i), Silent(), ["test"]).status == "finished"
