"""Event files: readings shown once in TensorBoard, whole after a kill."""

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from lab.display import CHARTS, GUIDE
from lab.events.frame import masked_crc
from lab.events.summary import Chart, Opening, escaped
from lab.events.writer import TensorBoard
from lab.record import Histogram, JsonLines, Memory, Picture, read_jsonl

OPENING = Opening(
    {"run/config": "```yaml\nsteps: 5\n```"},
    CHARTS,
    {"optimizer.lr": 0.5, "data.intercept": True, "loss.kind": "softmax"},
    "g",
)


def shown(folder: Path) -> EventAccumulator:
    """What TensorBoard's loader in Python makes of the event files, every step kept."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in shown(folder).Scalars(tag)]


def test_tensorboard_shows_scalars_as_float32_and_non_finite_ones_as_they_are(tmp_path):
    sink = TensorBoard(tmp_path)
    values = [0.1, math.nan, math.inf, -math.inf, 1e300, 3.4028235e38, 10**400]
    for step, value in enumerate(values):
        sink.write(step, {"a": value})
    sink.close()
    seen = [event.value for event in shown(tmp_path).Scalars("a")]
    assert seen[0] == struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert math.isnan(seen[1])
    assert seen[5] == struct.unpack("<f", struct.pack("<f", 3.4028234663852886e38))[0]
    assert seen[6] == math.inf
    assert seen[2:5] == [math.inf, -math.inf, math.inf]  # 1e300 is beyond float32; log10 and metrics.jsonl have it


def test_positive_floats_that_span_decades_are_shown_as_logarithms_too(tmp_path):
    sink = TensorBoard(tmp_path)
    readings = {"curvature/lambda_1": 1e300, "curvature/lambda_min": -1.0, "curvature/rank": 3, "accuracy/train": 0.5}
    sink.write(0, readings)
    sink.close()
    loaded = shown(tmp_path)
    assert loaded.Scalars("log10/curvature/lambda_1")[0].value == pytest.approx(300)
    assert set(loaded.Tags()["scalars"]) == {*readings, "log10/curvature/lambda_1"}


def test_an_interval_that_is_charted_has_a_middle_at_every_step_and_none_has_a_logarithm(tmp_path):
    opened = replace(OPENING, charts={"bands": [Chart("a", bands=("curvature/a",))]})
    sink = TensorBoard(tmp_path, opening=opened)
    both = {f"curvature/{name}/{end}": 1.0 for name in "ab" for end in ("lower", "upper")}
    sink.write(0, {**both, "curvature/a": 2.5, "curvature/a/upper": 3.0})
    sink.write(1, {"curvature/a/lower": 1.0, "curvature/a/upper": 4.0})  # carried over: no value of its own
    sink.write(2, {"curvature/a/lower": 0.5, "curvature/a/upper": 2.0})  # the last value cannot be its own any more
    sink.close()
    again = TensorBoard(tmp_path, 3, opened, [{"step": 2, "curvature/a": 2.5}])
    again.write(3, {"curvature/a/lower": 1.0, "curvature/a/upper": 4.0})
    again.close()
    events = shown(tmp_path)
    assert [event.value for event in events.Scalars("curvature/a/middle")] == [2.5, 2.5, 2.0, 2.5]
    (tmp_path / "first").mkdir()
    first = TensorBoard(tmp_path / "first", opening=opened)
    first.write(0, {"curvature/a/lower": 1.0, "curvature/a/upper": 4.0})  # none was ever known
    first.close()
    assert [event.value for event in shown(tmp_path / "first").Scalars("curvature/a/middle")] == [2.5]
    assert "log10/curvature/a" in events.Tags()["scalars"]
    assert "curvature/b/middle" not in events.Tags()["scalars"]
    assert "log10/curvature/a/lower" not in events.Tags()["scalars"]


ENDS = st.sampled_from([-0.0, 0.0, 1.0, 2.5, 1e39, math.inf])


@given(
    st.lists(st.dictionaries(st.sampled_from(["curvature/a", "curvature/a/lower", "curvature/a/upper", "b"]), ENDS)),
)
def test_a_row_is_shown_as_by_a_sink_that_has_made_nothing_yet(tmp_path_factory, rows):
    opened = replace(OPENING, charts={"bands": [Chart("a", bands=("curvature/a",))]})

    def last(rows: list[dict[str, float]], known: list[dict[str, float]]) -> object:
        folder = tmp_path_factory.mktemp("events")
        sink = TensorBoard(folder, opening=opened, rows=known)
        for row in rows:
            sink.write(7, row)
        sink.close()
        *_, event = LegacyEventFileLoader(str(next(folder.iterdir()))).Load()
        return event.summary

    for i, row in enumerate(rows, start=1):
        assert not row or last(rows[:i], []) == last([row], rows[:i])


def test_the_line_in_an_interval_is_explained_beside_the_chart():
    for charts in CHARTS.values():
        for band in (band for chart in charts for band in chart.bands):
            (told,) = (line for line in GUIDE.splitlines() if escaped(f"{band}/middle") in line)
            assert "no measurement" in told


def test_verdicts_and_stability_come_with_the_line_they_are_read_against(tmp_path):
    sink = TensorBoard(tmp_path)
    sink.write(
        0, {"check/gradient": 0.5, "check/hvp": 2.0, "check/hvp/failure": "wrong", "stability/lr_lambda_max": 1.0}
    )
    sink.write(1, {"loss/train": 0.5, "stability/certainty": "not known"})
    sink.close()
    events = shown(tmp_path)
    limits = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in ("check/limit", "stability/limit")}
    assert limits == {"check/limit": [(0, 1.0)], "stability/limit": [(0, 2.0)]}


def test_a_run_opens_with_its_words_charts_and_hyperparameters_in_its_own_folder(tmp_path):
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.plugins.hparams import api_pb2, metadata

    sink = TensorBoard(tmp_path, opening=OPENING)
    sink.write(0, {"loss/train": 1.0})
    sink.end(0, well=True)
    sink.close()
    events = shown(tmp_path)
    assert events.Tensors("run/config")[0].tensor_proto.string_val == [b"```yaml\nsteps: 5\n```"]
    layout = layout_pb2.Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    titles = {chart.title for category in layout.category for chart in category.chart}
    assert titles == {chart.title for charts in CHARTS.values() for chart in charts}
    (band,) = [chart for category in layout.category for chart in category.chart if chart.margin.series]
    assert [series.upper for series in band.margin.series] == ["curvature/lambda_1/upper"]
    kept = {tag: events.SummaryMetadata(tag).plugin_data.content for tag in events.Tags()["tensors"] if "_hp" in tag}
    start = metadata.parse_session_start_info_plugin_data(kept["_hparams_/session_start_info"])
    assert start.group_name == "g"
    assert start.hparams["data.intercept"].WhichOneof("kind") == "bool_value"
    assert start.hparams["optimizer.lr"].number_value == 0.5
    assert start.hparams["loss.kind"].string_value == "softmax"
    end = metadata.parse_session_end_info_plugin_data(kept["_hparams_/session_end_info"])
    assert end.status == api_pb2.STATUS_SUCCESS
    assert len(list(tmp_path.iterdir())) == 1


def test_a_resumed_run_keeps_its_opening_and_forgets_how_it_had_ended(tmp_path):
    failed = TensorBoard(tmp_path, opening=OPENING)
    for step in range(5):
        failed.write(step, {"loss/train": 1.0})
    failed.end(4, well=False)
    resumed = TensorBoard(tmp_path, purge_step=4, opening=OPENING)
    resumed.write(4, {"loss/train": 1.0})
    resumed.close()
    tags = shown(tmp_path).Tags()["tensors"]
    assert "_hparams_/session_start_info" in tags
    assert "_hparams_/session_end_info" not in tags
    assert len(shown(tmp_path).Tensors("run/config")) == 1


def test_a_histogram_and_a_picture_are_shown_and_stay_out_of_the_exact_record(tmp_path):
    counts = Histogram(np.array([-1.0, 0.5, 2.0]), np.array([3.0, 4.0]))
    row = {"a": 1.0, "distribution/a": counts, "picture/a": Picture(b"png", 3, 2, "three by two")}
    (tmp_path / "events").mkdir()
    sinks = [TensorBoard(tmp_path / "events"), JsonLines(tmp_path / "metrics.jsonl"), memory := Memory()]
    for sink in sinks:
        sink.write(7, row)
        sink.close()
    events = shown(tmp_path / "events")
    tensor = events.Tensors("distribution/a")[0].tensor_proto
    assert np.frombuffer(tensor.tensor_content).reshape(2, 3).tolist() == [[-1, 0.5, 3], [0.5, 2, 4]]
    assert events.Tensors("picture/a")[0].tensor_proto.string_val == [b"3", b"2", b"png"]
    assert events.SummaryMetadata("picture/a").summary_description == "three by two"
    assert read_jsonl(tmp_path / "metrics.jsonl") == [{"step": 7, "a": 1.0}]
    assert memory.rows[0]["distribution/a"] is counts


def test_words_are_shown_as_they_stand_whatever_markdown_makes_of_them(tmp_path):
    from markdown import markdown

    words = "theta[2, 0] *is* `wrong` | by <b> _a_ #1"
    sink = TensorBoard(tmp_path)
    sink.write(0, {"check/gradient/failure": words})
    sink.close()
    escaped = shown(tmp_path).Tensors("check/gradient/failure")[0].tensor_proto.string_val[0].decode()
    assert (
        markdown(escaped, extensions=["markdown.extensions.tables"])
        == f"<p>{words.replace('<', '&lt;').replace('>', '&gt;')}</p>"
    )


def test_the_checksum_is_that_of_the_definition_rotated_and_shifted():
    masked = int.from_bytes(masked_crc(b"123456789"), "little")
    rotated = (masked - 0xA282EAD8) % 2**32
    assert (rotated >> 17 | rotated << 15) % 2**32 == 0xE3069283  # CRC-32C's check value


def test_a_text_is_shown_when_it_changes(tmp_path):
    sink = TensorBoard(tmp_path)
    for step, text in enumerate(["positive definite", "positive definite", "indefinite"]):
        sink.write(step, {"curvature/definiteness": text})
    sink.close()
    loaded = shown(tmp_path)
    texts = [(event.step, event.tensor_proto.string_val[0]) for event in loaded.Tensors("curvature/definiteness")]
    assert texts == [(0, b"positive definite"), (2, b"indefinite")]
    assert loaded.SummaryMetadata("curvature/definiteness").plugin_data.plugin_name == "text"


def test_our_records_are_those_of_tensorboards_own_writer(tmp_path):
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    TensorBoard(tmp_path, purge_step=7).close()
    (ours,) = tmp_path.iterdir()
    events = [event for event in iterate(ours.read_bytes())]
    with open(tmp_path / "theirs", "wb") as file:
        for event in events:
            RecordWriter(file).write(event)
    assert ours.read_bytes() == (tmp_path / "theirs").read_bytes()
    version, start = map(event_pb2.Event.FromString, events)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (7, event_pb2.SessionLog.START)


def iterate(data: bytes):
    while data:
        (length,) = struct.unpack_from("<Q", data)
        yield data[12 : 12 + length]
        data = data[16 + length :]


@pytest.mark.parametrize("torn", [0, 1, 9, 30], ids="{} bytes torn off".format)
def test_a_resumed_run_shows_every_step_once_though_the_kill_tore_a_record(tmp_path, torn):
    killed = TensorBoard(tmp_path)
    for step in range(10):
        killed.write(step, {"loss/train": float(step), "only/before": 1.0})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size - torn])
    resumed = TensorBoard(tmp_path, purge_step=6)
    for step in range(6, 12):
        resumed.write(step, {"loss/train": -float(step)})
    resumed.close()
    seen = [(event.step, event.value) for event in shown(tmp_path).Scalars("loss/train")]
    assert seen == [(step, float(step if step < 6 else -step)) for step in range(12)]
    assert steps(tmp_path, "only/before") == list(range(6))


def test_resumes_within_one_second_and_with_nothing_written_between_lose_nothing(tmp_path):
    for start, stop in [(0, 5), (3, 3), (3, 8), (3, 4), (4, 9), (2, 10)]:
        sink = TensorBoard(tmp_path, purge_step=start)
        for step in range(start, stop):
            sink.write(step, {"a": float(step)})
        sink.close()
    assert steps(tmp_path, "a") == list(range(10))
    assert len({path.name for path in tmp_path.iterdir()}) == 6


def test_a_tensorboard_that_is_open_across_a_resume_shows_every_step_once(tmp_path):
    killed = TensorBoard(tmp_path)
    for step in range(10):
        killed.write(step, {"a": 1.0})
    watching = shown(tmp_path)
    assert len(watching.Scalars("a")) == 10
    resumed = TensorBoard(tmp_path, purge_step=6)
    for step in range(6, 8):
        resumed.write(step, {"a": 2.0})
    watching.Reload()
    assert [(event.step, event.value) for event in watching.Scalars("a")] == [
        (step, 1.0 if step < 6 else 2.0) for step in range(8)
    ]
