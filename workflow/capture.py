"""``vaectrol make CAPTURE.nam``: from a capture of an amplifier to a module, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.files import files_below
from common.outputs import check_folder
from common.refusal import Refusal
from workflow.chapters import without_image
from workflow.plan import CPU_ALONE, check_board
from workflow.stages import STAMPS, Stage

KIND = "capture"


def is_capture(sources: Sequence[Path], kind: str) -> bool:
    """Whether a file, or `--kind capture`, was given in place of folders of sounds."""
    return kind == KIND or (not kind and len(sources) > 0 and sources[0].is_file())


def capture_stages(sources: Sequence[Path], board: str, folder: Path) -> list[Stage]:
    """List the stages, after a check of what was asked for.

    Parameters
    ----------
    sources : sequence of Path
        The capture, and if wanted a folder of dry recordings to calibrate with.
    board : str
    folder : Path
        Where everything goes.

    Raises
    ------
    Refusal
        A file or folder that is not there or no capture, or a board without a Cortex-M7.
    """
    from captures.read import read_capture

    if not 1 <= len(sources) <= 2:
        raise Refusal(
            "a capture is made of one file, and a folder of dry recordings if you have one; "
            f"{len(sources)} given."
        )
    source = sources[0]
    read_capture(source)  # refuses before the first stage what the first stage would
    check_board(board, CPU_ALONE)
    check_folder(folder, ours=STAMPS)
    phrase, model = folder / "phrase" / "guitar.wav", folder / "capture.int8.onnx"
    dry = sources[1] if len(sources) == 2 else phrase.parent
    if len(sources) == 2 and not any(file.suffix.lower() == ".wav" for file in files_below(dry)):
        raise Refusal(f"there is no .wav file in {dry}; name a folder of dry recordings, or leave it out.")
    instrument, float_model = folder / "capture.toml", folder / "capture.onnx"
    report, page = folder / "report", folder / "capture.html"
    wav, picture = folder / "capture.wav", folder / "capture.png"
    return [
        Stage(
            "import",
            "read the capture, and write an instrument that plays it",
            ("import", str(source), "-o", str(float_model), "--instrument", str(instrument)),
            (source,),
            (float_model, instrument),
            takes_s=3,
        ),
        Stage(
            "phrase",
            "play a dry phrase on a toy guitar",
            ("toy", "phrase", "guitar", str(phrase)),
            (),
            (phrase,),
            takes_s=4,
        ),
        Stage(
            "quantize",
            "round the capture to int8 weights, calibrated on dry recordings",
            ("quantize", str(float_model), "--calibration", str(dry), "--steps", "0", "-o", str(model)),
            (float_model, dry),
            (model,),
            takes_s=90,
        ),
        Stage(
            "build",
            "build the instrument's image",
            (
                *("build", str(instrument), "--board", board, *without_image(board)),
                *("-o", str(folder / "image")),
            ),
            (model, instrument),
            (folder / "image",),
            takes_s=8,
        ),
        Stage(
            "play",
            "play the phrase through it",
            (
                *("play", str(instrument), "--board", board, "--sound", f"audio_in_1={phrase}"),
                *("-o", str(wav), "--picture", str(picture)),
            ),
            (model, instrument, phrase),
            (wav, picture),
            takes_s=6,
        ),
        Stage(
            "bench",
            "predict CPU, memory and latency on the board",
            ("bench", str(model), "--board", board, "-o", str(report), "--quick"),
            (model,),
            (report / "report.html", report / "report.json"),
            takes_s=30,
        ),
        Stage(
            "web",
            "a page in which the capture plays",
            ("web", str(instrument), "--board", board, "-o", str(page)),
            (model, instrument),
            (page,),
            takes_s=6,
        ),
    ]
