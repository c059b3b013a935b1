"""The templates of CONTRIBUTING work as they are: each is filled in, built and held to what it says."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

import vaectrol
from firmware import toolchain
from hardware.board import load_board
from hardware.tables import board_tables
from tests.prose import ROOT, anchors

TEMPLATES = ROOT / "docs" / "templates"
IN_KERNELS = (f"-I{toolchain.ENGINE / 'kernels'}",)  # where a copy would stand


def test_contributing_tells_how_to_add_each_thing() -> None:
    headings = anchors(ROOT / "CONTRIBUTING.md")
    assert {"a-kernel", "a-board"} <= headings


def test_every_template_is_named_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in TEMPLATES.iterdir():
        assert f"docs/templates/{path.name}" in text, path.name


# ------------------------------------------------------------------------------------------- a kernel


def gain(x: np.ndarray, factor: int) -> np.ndarray:
    """The template's arithmetic in Python's unbounded integers."""
    return np.clip((x.astype(np.int64) * factor + 16384) >> 15, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("target", ["host", "m7", "aarch64", "wasm"])
def test_the_kernel_template_compiles_without_a_warning_for(target: str) -> None:
    for form in ("plain", "simd"):
        source = TEMPLATES / f"kernel_{form}.c"
        assert toolchain.compile_source(source, target, extra=IN_KERNELS).is_file()


def test_both_forms_of_the_kernel_template_give_the_numbers_they_promise(tmp_path: Path) -> None:
    sources = [TEMPLATES / f"kernel_{form}.c" for form in ("plain", "simd")]
    linked = toolchain.link_shared(sources, "host", tmp_path / "kernel.so", extra=IN_KERNELS)
    library = ctypes.CDLL(str(linked))
    random = np.random.default_rng(1)
    for lanes in range(1, 20):  # all remainders of eight lanes, and one more
        for step in (lanes, lanes + 3):
            x = random.integers(-32768, 32768, (3, step), dtype=np.int16)
            for factor in (-32768, -1, 0, 1, 12345, 32767):
                for name in ("vk_template_gain_s16_plain", "vk_template_gain_s16"):
                    out = np.full((3, step), 7, np.int16)
                    size = ctypes.c_size_t
                    getattr(library, name)(
                        ctypes.c_int16(factor),
                        x.ctypes.data_as(ctypes.c_void_p),
                        size(step),
                        out.ctypes.data_as(ctypes.c_void_p),
                        size(step),
                        size(3),
                        size(lanes),
                    )
                    np.testing.assert_array_equal(out[:, :lanes], gain(x[:, :lanes], factor), name)
                    assert (out[:, lanes:] == 7).all(), f"{name} wrote beside its lanes"


# -------------------------------------------------------------------------------------------- a board


def test_the_board_template_is_a_board_of_its_own() -> None:
    board = load_board(TEMPLATES / "board.toml")
    assert (board.name, board.audio.block) == ("my_board", 32)
    names = {adc.name for adc in board.adcs}
    assert "cv_1" in names and "cv_8" not in names
    assert "sdram" not in {region.name for region in board.memory}
    assert "board_inputs" in board_tables(board)


def test_a_model_compiles_for_the_board_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = tmp_path / "my_board.toml"
    board.write_text((TEMPLATES / "board.toml").read_text())
    model = ROOT / "firmware" / "models" / "rhythm.int8.onnx"
    words = ["compile", str(model), "--target", "m7", "--board", str(board), "-o", str(tmp_path / "c")]
    assert vaectrol.main(words) == 0
    assert "my_board" in (tmp_path / "c" / "report.json").read_text()
    assert list((tmp_path / "c").glob("*.c"))
    assert vaectrol.main(["board", "show", str(board)]) == 0
    assert "PITCH" in capsys.readouterr().out
