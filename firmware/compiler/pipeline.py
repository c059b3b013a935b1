"""The compiler, pass by pass: the table of contents.

``PASSES`` are the rewrites of the graph, in order, each a function graph → graph; between any two the
verifier runs. What follows turns the graph into a schedule, a memory plan and C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import Refusal
from firmware.compiler.graph import Graph, dump
from firmware.compiler.passes.add_endpoints import add_endpoints
from firmware.compiler.passes.assume_quantized import assume_quantized
from firmware.compiler.passes.fold_affine import fold_affine
from firmware.compiler.passes.fold_clips import fold_clips
from firmware.compiler.passes.fold_delays import fold_delays
from firmware.compiler.passes.fold_shuffles import fold_shuffles
from firmware.compiler.passes.hold_rows import hold_rows
from firmware.compiler.passes.integerize import integerize
from firmware.compiler.passes.join_sums import fold_curves, join_sums
from firmware.compiler.passes.lower import lower
from firmware.compiler.passes.mark_short import mark_short
from firmware.compiler.passes.own_ends import own_ends
from firmware.compiler.passes.sink_dequantize import sink_dequantize
from firmware.compiler.passes.split_sound import SPREAD, split_ends, split_sound
from firmware.compiler.passes.verify import verify
from firmware.compiler.program import Options, Program, parameters
from firmware.compiler.read.load import read
from firmware.compiler.read.witness import hold_to_witness
from firmware.compiler.write.event_program import build_event
from firmware.compiler.write.facts import ask_without_pause, sound_report
from firmware.compiler.write.stream_program import build_stream

if TYPE_CHECKING:
    from onnx import ModelProto

    from hardware.board import Board

PASSES: tuple[tuple[str, Callable[[Graph], Graph]], ...] = (
    ("fold delays", fold_delays),  # zero padding and crops into the convolutions beside them
    ("fold affine", fold_affine),  # BatchNorm and constant gains into the convolution before
    ("sink dequantize", sink_dequantize),  # move integers, not floats
    ("fold delays again", fold_delays),  # what lay behind a Dequantize
    ("join sums", join_sums),  # layers and signals added without a Q between: one accumulator
    ("integerize", integerize),  # DQ → operator → Q becomes integer arithmetic, proven not to overflow
    ("fold clips", fold_clips),  # a clamp on integers becomes the bounds of the operator before
    ("fold curves", fold_curves),  # a function behind a joined sum is looked up before the result is stored
    ("lower", lower),  # transposed convolutions become convolutions (polyphase)
    ("fold shuffles", fold_shuffles),  # sub-pixel upsampling becomes an order of channels
    ("hold rows", hold_rows),  # gains of a slower clock are read where they lie, not repeated
    ("own ends", own_ends),  # linear upsampling holds the first frame in a memory of its own
)
TARGETS = ("host", "m7", "aarch64", "wasm")


def optimise(graph: Graph, on_pass: Callable[[str, Graph], None] | None = None) -> Graph:
    """Run every pass, verifying after each.

    Parameters
    ----------
    graph : Graph
        From ``load``.
    on_pass : callable, optional
        Called with (name of pass, graph) after each, and with ("load", graph) first.
    """
    verify(graph, "load")
    if on_pass:
        on_pass("load", graph)
    for name, rewrite in PASSES:
        graph = verify(rewrite(graph), name)
        if on_pass:
            on_pass(name, graph)
    return graph


def compile_onnx(
    source: str | Path | ModelProto,
    target: str = "host",
    board: str | Path | Board | None = None,
    block: int | None = None,
    name: str | None = None,
    *,
    schedule: str = "flat",
    streaming: bool | None = None,
    as_if_quantized: bool = False,
    witness: bool = True,
    dump_to: Callable[[str], None] | None = None,
) -> Program:
    """Compile an ONNX file.

    Parameters
    ----------
    source : path or ModelProto
    target : str
        host, m7, aarch64 or wasm: decides how weights are packed.
    board : str, path or Board, optional
        Whose memory and processor the plan is for; without one there is a single memory without limit.
    block : int, optional
        Samples per callback, and most ticks worked on at once; the board's block, or 48.
    name : str, optional
        Prefix of the C names.
    schedule : str
        "flat" slices slow layers over the callbacks (adds latency), "eager" never does.
    streaming : bool, optional
        True: stream along axis 2 although the file fixes its length.
    as_if_quantized : bool
        Give a float model 8-bit weights and 16-bit activations of plausible scales, for a cost estimate.
    witness : bool
        Hold the reading to onnxruntime on a seeded signal before any C is written (``read/witness.py``);
        without it a misreading of the file passes unseen. Never where a cost alone is asked for
        (``as_if_quantized``, ``budget``).
    dump_to : callable, optional
        Called with text after every pass.

    Returns
    -------
    Program

    Raises
    ------
    Refusal
    """
    if target not in TARGETS:
        raise Refusal(f"there is no target {target!r}; choose {', '.join(TARGETS)}.")
    if schedule not in ("flat", "eager"):
        raise Refusal(f"there is no schedule {schedule!r}; choose flat or eager.")
    if isinstance(board, (str, Path)):
        from hardware.board import load_board

        board = load_board(board)
    if block is None:
        block = board.audio.block if board is not None else 48
    if not 1 <= block <= 1 << 16:
        raise Refusal(f"a block of {block} samples is not possible; choose 1 to 65536.")

    def show(title: str, graph: Graph) -> None:
        if dump_to:
            dump_to(f"==== after {title}\n{dump(graph)}\n")

    reading = read(source, name, streaming)
    graph = replace(reading.graph, parameters=parameters(reading.graph))
    if as_if_quantized:
        graph = assume_quantized(graph)
    offline = optimise(graph, show)
    played, sound = split_sound(offline)
    played, ends = split_ends(played)
    bordered = verify(mark_short(add_endpoints(played, SPREAD if sound else ()), block), "add endpoints")
    show("add endpoints", bordered)
    heard = hold_to_witness(reading, offline) if witness and not as_if_quantized else None
    build = build_event if bordered.event else build_stream
    options = Options(target, board, block, schedule)
    program = build(offline, bordered, options, dump_to)
    if heard is not None:
        program.report["witness"] = heard
    if sound is not None:
        program.report["sound"] = sound_report(sound, options)
        ask_without_pause(program.report, options)
    return replace(program, sound=sound, ends=ends)
