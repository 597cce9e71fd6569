"""Sinks: exact in JSON, and whole after a kill."""

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.events.writer import TensorBoard
from lab.record import JsonLines, Memory, plain, read_jsonl

HARD = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123456789]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_floats_come_back_from_json_lines_bit_for_bit(tmp_path):
    sink = JsonLines(tmp_path / "metrics.jsonl")
    for step, value in enumerate(HARD):
        sink.write(step, {"loss/train": value})
    sink.close()
    back = [row["loss/train"] for row in read_jsonl(tmp_path / "metrics.jsonl")]
    assert [bits(value) for value in back] == [bits(value) for value in HARD]


def test_non_finite_floats_are_valid_json_and_come_back_as_floats(tmp_path):
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.write(3, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": "text"})
    sink.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "step": 3,
        "a": "NaN",
        "b": "Infinity",
        "c": "-Infinity",
        "d": "text",
    }
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert math.isnan(row["a"])
    assert (row["b"], row["c"], row["d"]) == (math.inf, -math.inf, "text")


def test_a_text_that_is_a_numbers_name_is_refused_rather_than_read_back_as_a_number(tmp_path):
    with pytest.raises(ValueError, match="a: the text 'NaN'"):
        JsonLines(tmp_path / "metrics.jsonl").write(0, {"a": "NaN"})


def test_what_is_no_reading_is_refused_by_name_in_every_sink(tmp_path):
    for sink in (Memory(), JsonLines(tmp_path / "metrics.jsonl"), TensorBoard(tmp_path)):
        with pytest.raises(TypeError, match=r"curvature/trace: a reading is .* not list"):
            sink.write(0, {"curvature/trace": [1.0]})
        with pytest.raises(TypeError, match=r"curvature/rank: a reading is .* not NoneType"):
            sink.write(0, {"curvature/rank": None})
        with pytest.raises(TypeError, match="7: a tag is a str, not int"):
            sink.write(0, {7: 1.0})
        with pytest.raises(ValueError, match="step"):
            sink.write(0, {"step": 1})
        for tag in ("", "a/b\n", " a", "a\u2028b"):
            with pytest.raises(ValueError, match="a tag is of characters that can be seen"):
                sink.write(0, {tag: 1})


VALUES = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.sampled_from(["", "1", "nan", "é\n"])


def test_numbers_that_are_equal_and_not_the_same_are_read_back_as_they_were(tmp_path):
    sink, values = JsonLines(tmp_path / "metrics.jsonl"), [0.0, -0.0, 0, False, 0.0, 1, True, 1.0]
    for step, value in enumerate(values):
        sink.write(step, {"a": value})
    sink.close()
    assert [repr(row["a"]) for row in read_jsonl(tmp_path / "metrics.jsonl")] == [*map(repr, values)]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), max_size=6), st.data())
def test_rows_are_read_back_to_the_bit_whatever_of_them_is_the_row_befores(tmp_path_factory, rows, data):
    path = tmp_path_factory.mktemp("rows") / "metrics.jsonl"
    sink, written = JsonLines(path), []
    for row in rows:
        kept = {tag: value for earlier in written[-1:] for tag, value in earlier.items() if data.draw(st.booleans())}
        written.append({**row, **kept})  # the same objects
        sink.write(len(written), written[-1])
    sink.close()
    expected = [{"step": step, **row} for step, row in enumerate(written, start=1)]
    assert [*map(repr, read_jsonl(path))] == [*map(repr, expected)]


def test_a_torn_last_line_is_left_out_and_a_broken_one_before_it_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0, "a": 1.5}\n{"step": 1, "a": 2.')
    assert read_jsonl(path) == [{"step": 0, "a": 1.5}]
    path.write_bytes(b'{"step": 0}\nbroken\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: not a row of metrics"):
        read_jsonl(path)


@pytest.mark.parametrize("sink", [JsonLines, lambda path: TensorBoard(path.parent)], ids=["json", "tensorboard"])
def test_a_row_reaches_the_system_before_write_returns(tmp_path, sink):
    open_sink = sink(tmp_path / "metrics.jsonl")
    (path,) = tmp_path.iterdir()
    sizes = []
    for step in range(3):
        open_sink.write(step, {"a": 1.0})
        sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_sink_can_be_closed_twice(tmp_path):
    for sink in (Memory(), JsonLines(tmp_path / "metrics.jsonl"), TensorBoard(tmp_path)):
        sink.close()
        sink.flush()
        sink.close()


def test_memory_keeps_rows_apart_from_the_callers_mapping():
    sink, readings = Memory(), {"a": 1.0}
    sink.write(0, readings)
    readings["a"] = 2.0
    assert sink.rows == [{"step": 0, "a": 1.0}]


def test_plain_names_what_json_has_no_number_for_at_any_depth():
    assert plain({"a": [math.nan, (1, -math.inf)], "b": True}) == {"a": ["NaN", [1, "-Infinity"]], "b": True}
