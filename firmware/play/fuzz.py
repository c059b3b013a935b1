"""An hour of everything going wrong: instruments under the sanitizers, fed with rubbish.

    python -m firmware.play.fuzz drum --seconds 3600 --seed 1 [--model drum=FILE.onnx]
    python -m firmware.play.fuzz --seconds 3600 -o hours.json      # every instrument, with its factory models

Random controls (NaN, infinities, floating knobs), gates from single samples to storms, clocks at 1 kHz and
more, remote commands, presets, calibrations, a flash that loses power, blocks from 1 to 256; AddressSanitizer
and UndefinedBehaviorSanitizer watch. The promise: audio, CV and every parameter stay finite and bounded.

The sound is played in pieces, each with a seed of its own. With ``-o`` what is done is kept, and the same
command goes on where it stopped; an instrument whose C changed begins anew.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from common.files import read_json, write_json
from firmware import toolchain
from firmware.build import PORTS, generate
from firmware.instruments.spec import available_instruments

PIECE_SECONDS = 120.0


class Played(TypedDict):
    """What was played of an instrument: the digest of its C, seconds of sound, callbacks."""

    digest: str
    seconds: float
    blocks: int


def built(instrument: str | Path, folder: Path, models: Mapping[str, Path] | None = None) -> tuple[Path, str]:
    """Build an instrument with the sanitizers; return the program and a digest of its C."""
    made = generate(instrument, "host", folder, models=models, target="host-asan")
    program = toolchain.link_program(
        [*made.sources, PORTS / "host" / "fuzz.c"], "host-asan", folder / "fuzz", extra=[f"-I{folder}"]
    )
    texts = (path.read_bytes() for path in sorted({*made.sources, *folder.glob("*.h")}))
    return program, hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def play(program: Path, seconds: float, seed: int) -> tuple[int, str]:
    """Run it on rubbish; return its exit status and what it printed."""
    done = subprocess.run([program, str(seconds), str(seed)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def fuzz(
    instrument: str | Path, seconds: float, seed: int, models: Mapping[str, Path] | None = None
) -> tuple[int, str]:
    """Build an instrument and run it on rubbish, at one go; see ``play``."""
    with tempfile.TemporaryDirectory() as folder:
        return play(built(instrument, Path(folder), models)[0], seconds, seed)


def in_pieces(
    instrument: str | Path,
    seconds: float,
    seed: int,
    models: Mapping[str, Path] | None,
    before: Callable[[str], Played | None],
) -> Iterator[tuple[Played, int, str]]:
    """Play an instrument piece by piece until it has played ``seconds``.

    Parameters
    ----------
    before : callable
        Digest of the C → what was played of it already, or None.

    Yields
    ------
    Played
        So far.
    int
        Exit status of the piece; it is the last when that is not 0.
    str
        What it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        program, digest = built(instrument, Path(folder), models)
        played = before(digest) or Played(digest=digest, seconds=0.0, blocks=0)
        while played["seconds"] < seconds:
            piece = min(PIECE_SECONDS, seconds - played["seconds"])
            status, text = play(program, piece, seed + int(played["seconds"]))
            blocks = re.search(r"(\d+) blocks", text)
            if status == 0:
                played["seconds"] += piece
                played["blocks"] += int(blocks[1]) if blocks else 0
            yield played, status, text
            if status:
                return


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("instrument", nargs="*", help="names or files; by default every one that ships")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound, for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", action="append", default=[], metavar="ROLE=FILE.onnx")
    parser.add_argument("-o", "--out", type=Path, help="where what is done is kept")
    options = parser.parse_args()
    models = {role: Path(file) for role, _, file in (word.partition("=") for word in options.model)}
    kept: dict[str, Played] = read_json(options.out) if options.out and options.out.is_file() else {}
    for instrument in options.instrument or available_instruments():

        def before(digest: str, instrument: str = instrument) -> Played | None:
            known = kept.get(instrument)
            return known if known is not None and known["digest"] == digest else None

        text = "played already\n"
        for played, status, text in in_pieces(instrument, options.seconds, options.seed, models, before):
            kept[instrument] = played
            if options.out:
                write_json(options.out, kept)
            if status:
                print(f"{instrument}: {text}", end="")
                return status
        print(f"{instrument}: {text.strip().splitlines()[-1]}", flush=True)
        if instrument in kept:
            print(f"{instrument}: {kept[instrument]['seconds']:.0f} s, {kept[instrument]['blocks']:,} blocks")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
