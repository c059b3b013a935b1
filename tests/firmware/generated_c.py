"""Digest all generated C: every shipped instrument on every board, every shipped model on every target.

A change of structure must leave it alone. ``python -m tests.firmware.generated_c before.txt`` writes the
list; after the change, ``python -m tests.firmware.generated_c --against before.txt`` compares: status 1 when
a file differs.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.refusal import Refusal
from tests.digest_list import run

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("host", "m7", "aarch64", "wasm")


def digests() -> Iterator[tuple[str, str]]:
    """Yield (place and file, SHA-256) of each generated file; a refusal's sentence stands for a digest."""
    from firmware.build import generate
    from firmware.compiler.pipeline import compile_onnx

    with tempfile.TemporaryDirectory() as scratch:
        for board in sorted((ROOT / "hardware" / "boards").glob("*.toml")):
            for instrument in sorted((ROOT / "firmware" / "instruments").glob("*.toml")):
                out = Path(scratch) / board.stem / instrument.stem
                yield from _made(
                    f"{board.stem}/{instrument.stem}",
                    out,
                    lambda b=board.stem, i=instrument.stem, o=out: generate(i, b, o),
                )
        for model in sorted((ROOT / "firmware" / "models").glob("*.int8.onnx")):
            for target in TARGETS:
                out = Path(scratch) / target / model.stem
                yield from _made(
                    f"{target}/{model.stem}",
                    out,
                    lambda m=model, t=target, o=out: compile_onnx(m, target=t, block=48, name="net").write(o),
                )


def _made(place: str, out: Path, make) -> Iterator[tuple[str, str]]:  # type: ignore[no-untyped-def]
    try:
        make()
    except Refusal as why:
        yield place, str(why).replace(str(ROOT), "")
        return
    for file in sorted(out.rglob("*")):
        if file.suffix in {".c", ".h", ".S"}:
            yield f"{place}/{file.relative_to(out)}", hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(run(__doc__, digests, "files"))
