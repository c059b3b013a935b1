"""Models from elsewhere: post-training quantization by onnxruntime, with our report beside it."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

from common.files import files_below, write_bytes
from common.refusal import Refusal
from quantize.data.quality import compare
from quantize.graph.graph import Feed, Graph
from quantize.graph.layers import count_parameters
from quantize.graph.load import load_graph
from quantize.graph.runtime import session
from quantize.integers.plan import make_plan

METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}
MOST_FEEDS = 32


def quantize_static(
    source: Path, calibration: Path, out: Path, report: Path, bits: int, ranges: str
) -> dict[str, str | float]:
    """Quantize a float ONNX file with onnxruntime and report on it.

    Parameters
    ----------
    source : Path
        Float model from anywhere.
    calibration : Path
        Folder of examples; see ``quantize.data.feeds.read_folder``.
    out : Path
        QDQ model to write.
    report : Path
        Folder of the report.
    bits : int
        Activations, 8 or 16.
    ranges : str
        "minmax", "percentile" or "entropy".

    Returns
    -------
    dict
        Figures of the report.

    Raises
    ------
    Refusal
        When the model or the examples can't be used.
    """
    if ranges not in METHODS:
        raise Refusal(f"onnxruntime has no range estimator {ranges!r}; choose {', '.join(METHODS)}.")
    graph = load_graph(source)
    feeds = _feeds(graph, calibration)
    plan = make_plan(graph)
    wanted = sorted({graph.nodes[p].op for p in plan.integer})
    if not plan.linear_positions():
        raise Refusal(
            f"{source} has no convolution or matrix product that could run in integers; compile it as float."
        )
    left = sorted({n.op for p, n in enumerate(graph.nodes) if p not in plan.integer})
    held_out = max(1, len(feeds) // 4) if len(feeds) > 1 else 0
    begin = time.monotonic()
    model = _by_onnxruntime(
        graph, feeds[: len(feeds) - held_out or None], wanted, plan_names(graph), bits, ranges
    )
    seconds = time.monotonic() - begin
    test = feeds[-held_out:] if held_out else feeds
    figures = _figures(graph, model, test)
    write_bytes(out, model.SerializeToString())
    found: dict[str, str | float] = {
        "model": str(source),
        "file": str(out),
        "seconds": round(seconds, 2),
        "parameters": count_parameters(graph),
        "bytes": out.stat().st_size,
        "float_bytes": onnx.load(str(source)).ByteSize(),  # with weights that lie beside the file
        "bits": f"W8A{bits}",
        "in integers": ", ".join(wanted),
        "left in float": ", ".join(left) or "nothing",
        **figures,
    }
    from quantize.report.report import write_plain_report

    found["report"] = str(write_plain_report(report, found, _layer_snr(graph, model, test[0]), str(source)))
    return found


def plan_names(graph: Graph) -> list[str]:
    """Names of the nodes that may run in integers."""
    plan = make_plan(graph)
    return [graph.nodes[p].name for p in sorted(plan.integer)]


def _feeds(graph: Graph, folder: Path) -> list[Feed]:
    from quantize.data.feeds import FeedMaker, read_folder, read_wav

    recordings = [file for file in files_below(folder) if file.suffix.lower() == ".wav"]
    if recordings and graph.about.inputs:
        maker = FeedMaker(graph, [read_wav(p, graph) for p in recordings[:MOST_FEEDS]])
        return [maker.make(0.25, 1) for _ in range(MOST_FEEDS)]
    feeds = read_folder(folder, graph, MOST_FEEDS)
    return [{n: v[:1] for n, v in feed.items()} for feed in feeds]


def _by_onnxruntime(
    graph: Graph, feeds: list[Feed], operators: list[str], names: list[str], bits: int, ranges: str
) -> onnx.ModelProto:
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        """Hands the feeds to onnxruntime, one after the other."""

        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> Feed | None:  # type: ignore[override]
            """Next feed, None at the end."""
            return next(self.feeds, None)

    for index, node in enumerate(graph.nodes):
        node.name = node.name or f"{node.op}_{index}"
    names = names if all(names) else [node.name for node in graph.nodes if node.op in operators]
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises a pre-processing that load_graph has done
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, made = Path(folder) / "plain.onnx", Path(folder) / "made.onnx"
            onnx.save(_at_least_21(graph.to_model()), str(plain))
            q.quantize_static(
                str(plain),
                str(made),
                Reader(),
                quant_format=q.QuantFormat.QDQ,
                op_types_to_quantize=operators,
                nodes_to_quantize=names,
                per_channel=True,
                activation_type=q.QuantType.QInt16 if bits == 16 else q.QuantType.QInt8,
                weight_type=q.QuantType.QInt8,
                calibrate_method=getattr(q.CalibrationMethod, METHODS[ranges]),
                extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
            )
            return onnx.load(str(made))
    except (ValueError, RuntimeError, NotImplementedError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refusal(
            f"onnxruntime can't quantize this model ({reason}); give it a plainer export."
        ) from None
    finally:
        logging.getLogger().setLevel(level)


def _at_least_21(model: onnx.ModelProto) -> onnx.ModelProto:
    """Raise the opset to the first with 16-bit QuantizeLinear."""
    version = next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 21)
    if version >= 21:
        return model
    try:
        return onnx.version_converter.convert_version(model, 21)
    except Exception as error:
        raise Refusal(
            f"the model's opset {version} can't be raised to 21 ({error}); export it at opset 21."
        ) from None


def _figures(graph: Graph, model: onnx.ModelProto, feeds: list[Feed]) -> dict[str, float]:
    before, after = session(graph.to_model()), session(model)
    found: dict[str, list[float]] = {}
    for feed in feeds:
        for a, b in zip(before.run(None, feed), after.run(None, feed), strict=True):
            for key, value in compare(a, b, graph.about.kind).items():
                found.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _layer_snr(graph: Graph, model: onnx.ModelProto, feed: Feed) -> list[tuple[str, str, float]]:
    """SNR of every tensor that both models have, in execution order."""
    from quantize.data.quality import snr_db

    present = {name for node in model.graph.node for name in node.output}
    rows = [(n.outputs[0], n.op) for n in graph.nodes if n.outputs[0] in present]
    a, b = graph.to_model(), onnx.ModelProto.FromString(model.SerializeToString())
    for watched in (a, b):
        have = {value.name for value in watched.graph.output}
        for name, _ in rows:
            if name not in have:
                watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    names = [name for name, _ in rows]
    first, second = session(a).run(names, feed), session(b).run(names, feed)
    return [(name, op, snr_db(x, y)) for (name, op), x, y in zip(rows, first, second, strict=True)]
