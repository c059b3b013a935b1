"""What several tests of the firmware share: parts of the engine as libraries."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "firmware" / "engine"


def prototypes(source: Path) -> str:
    """Return the declarations of every ``shim_`` function of `source`, for cffi."""
    text = source.read_text()
    found = re.findall(r"^((?:const )?\w+ \*?shim_\w+\([^)]*\))\s*\{", text, flags=re.MULTILINE)
    return ";\n".join(found) + ";"


def shim_library(shim: str, folder: Path, *parts: str) -> SimpleNamespace:
    """Build a shim with the engine's sources in `parts`: ``.lib`` (functions ``shim_…``) and ``.ffi``."""
    from cffi import FFI

    from firmware import toolchain

    source = Path(__file__).parent / shim
    ffi = FFI()
    ffi.cdef(prototypes(source))
    sources = [source, *(path for part in parts for path in sorted((ENGINE / part).glob("*.c")))]
    sources += toolchain.kernel_sources("host")
    out = toolchain.link_shared(sources, "host", folder / f"{source.stem}.so")
    return SimpleNamespace(ffi=ffi, lib=ffi.dlopen(str(out)))


@pytest.fixture(scope="session")
def control(tmp_path_factory):
    """The controls of the engine."""
    return shim_library("control_shim.c", tmp_path_factory.mktemp("control"), "control")


@pytest.fixture(scope="session")
def instruments(tmp_path_factory):
    """The engine's rhythm and drum with models whose answers are known."""
    return shim_library("instrument_shim.c", tmp_path_factory.mktemp("shim"), "control", "instruments")


def _save(path: Path, nodes, inputs, outputs, weights, about) -> Path:
    import json

    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from train.export.domain_functions import attach

    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(w, np.float32), n) for n, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    attach(model)
    helper.set_model_props(model, {f"vaectrol.{key}": json.dumps(value) for key, value in about.items()})
    onnx.save(model, str(path))
    return path


def _latents(count: int) -> list[dict]:
    quantiles = [float(4 * (2 * at / 32 - 1) ** 3) for at in range(33)]
    return [
        {"name": f"z{n}", "mean": 0.0, "std": 1.0, "sign": "", "quantiles": quantiles}
        for n in range(1, count + 1)
    ]


def _attributes(*names: str) -> list[dict]:
    quantiles = [at / 16 - 1 for at in range(33)]
    return [
        {"name": n, "range": [-1, 1], "default": 0.0, "quantiles": quantiles, "definition": ""} for n in names
    ]


@pytest.fixture(scope="session")
def model_files(tmp_path_factory) -> dict[str, Path]:
    """Small models of each kind, random but true to the contract; some are the factory's."""
    import numpy as np
    from onnx import helper

    rng = np.random.default_rng(11)
    folder = tmp_path_factory.mktemp("models")

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)

    classes = ["kick", "snare", "hat_closed", "hat_open", "tom", "clap", "cymbal", "perc"]
    modes, gliding, bands, taps, grid, transient = 8, 4, 4, 128, [0, 5, 20, 100, 500], 48
    told = {"modes": 5 * modes, "glide": 2, "noise": len(grid) * bands, "transient": transient}
    hz = np.geomspace(400, 12_000, bands)
    tap = np.arange(taps) - (taps - 1) / 2
    drum = _save(
        folder / "drum.onnx",
        [
            helper.make_node("Concat", ["z", "knobs"], ["x"], axis=1),
            helper.make_node("Conv", ["x", "w1", "b1"], ["h"], kernel_shape=[1]),
            helper.make_node("LeakyRelu", ["h"], ["a"], alpha=0.125),
            *(
                helper.make_node("Conv", ["a", f"w_{name}", f"b_{name}"], [name], kernel_shape=[1])
                for name in told
            ),
            helper.make_node(
                "HitSound",
                [*told, "anchors", "spreads", "filters", "grid", "fade"],
                ["audio"],
                domain="vaectrol",
                gliding=gliding,
                samples=48 * grid[-1],
                seed=3,
            ),
        ],
        {"z": [1, 8, 1], "knobs": [1, 10, 1]},
        {"audio": [1, 1, 48 * grid[-1]]},
        {
            "w1": weights(16, 18, 1),
            "b1": np.zeros(16),
            **{f"w_{name}": weights(count, 16, 1) for name, count in told.items()},
            "b_modes": np.repeat([0.0, 0.0, -1.5, 0.5, 0.0], modes),
            "b_glide": np.zeros(2),
            "b_noise": np.repeat(-2.0 - np.arange(len(grid)), bands),
            "b_transient": np.zeros(transient),
            "anchors": np.r_[np.geomspace(40, 300, gliding), np.geomspace(400, 9000, modes - gliding)],
            "spreads": np.full(modes, 0.3),
            "filters": (np.hanning(taps) * np.cos(2 * np.pi * hz[:, None] / 48_000 * tap) / 40)[:, None],
            "grid": np.array(grid),
            "fade": np.cos(np.pi / 2 * np.arange(transient) / transient) ** 2,
        },
        {
            "kind": "drum",
            "name": "tiny drum",
            "latents": _latents(8),
            "attributes": _attributes("brightness", "decay"),
            "inputs": [
                {"name": "z", "role": "latent", "rate": "event", "channels": [f"z{n}" for n in range(1, 9)]},
                {
                    "name": "knobs",
                    "role": "class",
                    "rate": "event",
                    "channels": [*(f"class:{name}" for name in classes), "brightness", "decay"],
                },
            ],
            "outputs": [{"name": "audio", "role": "audio", "rate": "event"}],
        },
    )
    attributes = ["density", "syncopation", "low_high", "swing", "dynamics", "complexity"]
    rhythm = _save(
        folder / "rhythm.onnx",
        [
            helper.make_node("Concat", ["z", "attributes"], ["x"], axis=1),
            helper.make_node("ConvTranspose", ["x", "w1"], ["h"], strides=[32], kernel_shape=[32]),
            helper.make_node("LeakyRelu", ["h"], ["a"], alpha=0.125),
            helper.make_node("Conv", ["a", "w2", "b2"], ["raw"], pads=[1, 1], kernel_shape=[3]),
            helper.make_node("Sigmoid", ["raw"], ["pattern"]),
        ],
        {"z": [1, 4, 1], "attributes": [1, 6, 1]},
        {"pattern": [1, 27, 32]},
        {
            "w1": weights(10, 24, 32) * 4,
            "w2": weights(27, 24, 3) * 3,
            "b2": np.r_[np.zeros(18), np.full(9, -3.0)],
        },
        {
            "kind": "rhythm",
            "name": "tiny rhythm",
            "latents": _latents(4),
            "attributes": _attributes(*attributes),
            "inputs": [
                {"name": "z", "role": "latent", "rate": "event", "channels": ["z1", "z2", "z3", "z4"]},
                {"name": "attributes", "role": "attribute", "rate": "event", "channels": attributes},
            ],
            "outputs": [{"name": "pattern", "role": "pattern", "rate": "event"}],
        },
    )
    drive = _save(
        folder / "drive.onnx",
        [
            helper.make_node("Conv", ["audio", "w1"], ["h"], pads=[7, 0], kernel_shape=[8]),
            helper.make_node("Conv", ["latent", "w2", "b2"], ["gain"], kernel_shape=[1]),
            helper.make_node(
                "Resize",
                ["gain", "", "scales"],
                ["held"],
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            ),
            helper.make_node("Mul", ["h", "held"], ["driven"]),
            helper.make_node("Tanh", ["driven"], ["bent"]),
            helper.make_node("Conv", ["bent", "w3"], ["wet"], pads=[3, 0], kernel_shape=[4]),
        ],
        {"audio": [1, 1, "samples"], "latent": [1, 4, "frames"]},
        {"wet": [1, 1, "samples"]},
        {
            "w1": weights(8, 1, 8),
            "w2": weights(8, 4, 1),
            "b2": np.full(8, 2.0),
            "w3": weights(1, 8, 4),
            "scales": [1.0, 1.0, 48.0],
        },
        {
            "kind": "drive",
            "name": "tiny drive",
            "latents": _latents(4),
            "inputs": [
                {"name": "audio", "role": "audio", "rate": "1", "channels": ["audio"]},
                {"name": "latent", "role": "latent", "rate": "1/48", "channels": ["z1", "z2", "z3", "z4"]},
            ],
            "outputs": [{"name": "wet", "role": "audio", "rate": "1"}],
        },
    )
    chords = _save(
        folder / "chords.onnx",
        [
            helper.make_node("Concat", ["z", "attributes"], ["x"], axis=1),
            helper.make_node("ConvTranspose", ["x", "w1"], ["h"], strides=[16], kernel_shape=[16]),
            helper.make_node("LeakyRelu", ["h"], ["a"], alpha=0.125),
            helper.make_node("Conv", ["a", "w2", "b2"], ["scores"], pads=[1, 1], kernel_shape=[3]),
        ],
        {"z": [1, 8, 1], "attributes": [1, 3, 1]},
        {"scores": [1, 23, 16]},
        {"w1": weights(11, 12, 16) * 4, "w2": weights(23, 12, 3) * 3, "b2": np.zeros(23)},
        {
            "kind": "chords",
            "name": "tiny chords",
            "latents": _latents(8),
            "map": {"size": 3, "grid": (2 * weights(3, 3, 8)).tolist()},
            "attributes": _attributes("tension", "motion", "minor"),
            "inputs": [
                {"name": "z", "role": "latent", "rate": "event", "channels": [f"z{n}" for n in range(1, 9)]},
                {
                    "name": "attributes",
                    "role": "attribute",
                    "rate": "event",
                    "channels": ["tension", "motion", "minor"],
                },
            ],
            "outputs": [{"name": "scores", "role": "pattern", "rate": "event"}],
        },
    )
    shipped = Path(__file__).parents[2] / "firmware" / "models"
    halves = {"encoder": shipped / "texture.encoder.onnx", "decoder": shipped / "texture.int8.onnx"}
    halves["codes"] = shipped / "texture.codes.onnx"
    whole = {name: shipped / f"{name}.int8.onnx" for name in ("voice", "ear", "spectra")}
    return {"drum": drum, "rhythm": rhythm, "drive": drive, "chords": chords, **whole, **halves}


@pytest.fixture(scope="session")
def classed_drum(model_files, tmp_path_factory):
    """The test's drum with names for its classes, as a trained one has."""
    import onnx

    from common import model_metadata

    model = onnx.load(str(model_files["drum"]))
    entry = model_metadata.read(model).input_with("class", "attribute", "condition")
    names = [one.removeprefix("class:") for one in entry.channels if one.startswith("class:")]
    model_metadata.write(model, {"classes": names})
    path = tmp_path_factory.mktemp("classed") / "drum.onnx"
    onnx.save(model, str(path))
    return path
