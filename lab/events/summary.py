"""What an event holds: numbers, texts, histograms, pictures, the layout of charts, and a run's hyperparameters."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.record import Histogram, Picture

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|])")
_BAR = re.compile(r"(?<!\\)\|")  # between cells of a table


@dataclass(frozen=True)
class Chart:
    """A chart of the Custom Scalars: a line for every tag that a pattern matches, or a line in a band.

    `lines` are regular expressions, from the tag's start; `bands` are tags with <tag>/lower and <tag>/upper around
    the line <tag>/middle, and all three have the same steps.
    """

    title: str
    lines: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opening:
    """What a run's event file begins with: texts in Markdown by tag, charts by category, and hyperparameters.

    Runs of one `group` are shown as one, their metrics averaged.
    """

    texts: Mapping[str, str]
    charts: Mapping[str, Sequence[Chart]]
    hyperparameters: Mapping[str, bool | float | str]
    group: str


def opened(opening: Opening, now: float) -> list[Any]:
    """The values of an opening; `now` in seconds since 1970."""
    values = [markdown(tag, words) for tag, words in opening.texts.items()]
    if opening.charts:
        values.append(layout(opening.charts))
    if opening.hyperparameters:
        values.append(session_start(opening.hyperparameters, opening.group, now))
    return values


def text(tag: str, words: str) -> Any:
    """Words to be read as they stand; those that are a Markdown table are shown as one, its cells as they stand."""
    lines = words.split("\n")
    if len(lines) < 3 or set(lines[1]) != {"|", "-"} or not all(line[:1] + line[-1:] == "||" for line in lines):
        return markdown(tag, escaped(words))
    cells = [[cell.strip().replace("\\|", "|") for cell in _BAR.split(line)[1:-1]] for line in lines]
    return markdown(
        tag, "\n".join(f"| {' | '.join(row if i == 1 else map(escaped, row))} |" for i, row in enumerate(cells))
    )


def escaped(words: str) -> str:
    """Words that Markdown shows as they stand, on one line."""
    words = _MARKDOWN.sub(r"\\\1", words).replace("\n", " ")
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(tag: str, words: str) -> Any:
    """Words with markup in them: tables, lists, code."""
    return _strings(tag, [words.encode()], "text")


def histogram(tag: str, shown: Histogram) -> Any:
    """Counts between edges, as rows (left, right, count)."""
    import numpy as np
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

    rows = np.column_stack([shown.edges[:-1], shown.edges[1:], shown.counts]).astype("<f8")
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_DOUBLE, tensor_shape=_shape(*rows.shape), tensor_content=rows.tobytes()
    )
    return summary_pb2.Summary.Value(
        tag=tag, metadata=_metadata("histograms", summary_pb2.DATA_CLASS_TENSOR), tensor=tensor
    )


def picture(tag: str, shown: Picture) -> Any:
    """A PNG."""
    strings = [str(shown.width).encode(), str(shown.height).encode(), shown.png]
    return _strings(tag, strings, "images", shown.says)


def layout(charts: Mapping[str, Sequence[Chart]]) -> Any:
    """The charts of the Custom Scalars by category. Equal charts of several runs are shown as one."""
    from tensorboard.plugins.custom_scalar import layout_pb2

    def proto(chart: Chart) -> Any:
        if not chart.bands:
            return layout_pb2.Chart(title=chart.title, multiline=layout_pb2.MultilineChartContent(tag=chart.lines))
        series = [
            layout_pb2.MarginChartContent.Series(value=f"{tag}/middle", lower=f"{tag}/lower", upper=f"{tag}/upper")
            for tag in chart.bands
        ]
        return layout_pb2.Chart(title=chart.title, margin=layout_pb2.MarginChartContent(series=series))

    made = [
        layout_pb2.Category(title=title, chart=[proto(chart) for chart in members]) for title, members in charts.items()
    ]
    return _strings(
        "custom_scalars__config__", [layout_pb2.Layout(category=made).SerializeToString()], "custom_scalars"
    )


def session_start(hyperparameters: Mapping[str, bool | float | str], group: str, now: float) -> Any:
    """The start of a session of HParams, in the run's own folder: its columns are the union over runs."""
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(group_name=group, start_time_secs=now)
    for name, value in hyperparameters.items():
        kind = "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
        start.hparams[name].CopyFrom(struct_pb2.Value(**{kind: value}))
    return _session(
        "_hparams_/session_start_info", plugin_data_pb2.HParamsPluginData(version=0, session_start_info=start)
    )


def session_end(well: bool, now: float) -> Any:
    """The end of a session of HParams, from which no run goes on."""
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if well else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=now)
    return _session("_hparams_/session_end_info", plugin_data_pb2.HParamsPluginData(version=0, session_end_info=end))


def table(rows: Mapping[str, Any], heads: tuple[str, str]) -> str:
    """A Markdown table of two columns, values as JSON has them."""
    lines = [f"| {heads[0]} | {heads[1]} |", "|---|---|"]
    for name, value in rows.items():
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"| {escaped(name)} | {escaped(words)} |")
    return "\n".join(lines)


def _session(tag: str, content: Any) -> Any:
    """A value whose message is its metadata, with an empty tensor for the sake of the form."""
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=_metadata("hparams", summary_pb2.DATA_CLASS_TENSOR, content.SerializeToString()),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=_shape(0)),
    )


def _strings(tag: str, strings: Sequence[bytes], plugin: str, says: str = "") -> Any:
    from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

    kind = summary_pb2.DATA_CLASS_BLOB_SEQUENCE if plugin == "images" else summary_pb2.DATA_CLASS_TENSOR
    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=_metadata(plugin, kind, says=says),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=strings, tensor_shape=_shape(len(strings))),
    )


def _metadata(plugin: str, kind: Any, content: bytes = b"", says: str = "") -> Any:
    from tensorboard.compat.proto import summary_pb2

    data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return summary_pb2.SummaryMetadata(plugin_data=data, data_class=kind, summary_description=says)


def _shape(*sizes: int) -> Any:
    from tensorboard.compat.proto import tensor_shape_pb2

    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
    return tensor_shape_pb2.TensorShapeProto(dim=dims)
