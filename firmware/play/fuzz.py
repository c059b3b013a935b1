"""An hour of everything going wrong: an instrument under the sanitizers, fed with rubbish.

    python -m firmware.play.fuzz drum --seconds 3600 --seed 1 [--model drum=FILE.onnx]

Random controls (NaN, infinities, floating knobs), gates from single samples to storms, clocks at 1 kHz and
more, remote commands, presets, calibrations, a flash that loses power, blocks from 1 to 256; AddressSanitizer
and UndefinedBehaviorSanitizer watch. The promise: audio, CV and every parameter stay finite and bounded.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from firmware import toolchain
from firmware.build import PORTS, generate


def fuzz(
    instrument: str | Path, seconds: float, seed: int, models: Mapping[str, Path] | None = None
) -> tuple[int, str]:
    """Build an instrument with the sanitizers and run it on rubbish.

    Returns
    -------
    tuple of int and str
        Exit status and what the program printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        built = generate(instrument, "host", Path(folder), models=models, target="host-asan")
        program = toolchain.link_program(
            [*built.sources, PORTS / "host" / "fuzz.c"],
            "host-asan",
            Path(folder) / "fuzz",
            extra=[f"-I{folder}"],
        )
        done = subprocess.run([program, str(seconds), str(seed)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instrument")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", action="append", default=[], metavar="ROLE=FILE.onnx")
    options = parser.parse_args()
    models = {role: Path(file) for role, _, file in (word.partition("=") for word in options.model)}
    status, text = fuzz(options.instrument, options.seconds, options.seed, models)
    print(text, end="")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
