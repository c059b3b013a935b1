"""A prior in the layer: silent while it listens, then it goes on as its network says, on every target."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy.stats import ks_2samp

from common import model_metadata
from common.refusal import Refusal
from firmware import toolchain
from firmware.build import build_instrument, generate, host_library
from firmware.instruments.latents.prior import BYTES
from firmware.models.model_file import MODELS_DIR
from firmware.play.host import HostInstrument
from tests.firmware.test_latent_layer import INSTRUMENTS, moving, opened
from tests.prior_by_numpy import walked

HERE = Path(__file__).parent
PRIOR = MODELS_DIR / "texture.prior.onnx"
FRAMES_A_SECOND, TEMPERATURES = 100, (0.5, 1.0, 1.5)
MOVED, FREE = 0, 1
LAYER = "\n[latents]\nprior = true\n"
MODEL = 'decoder = "texture"\nprior = "texture.prior"\n'
LISTEN = '\n[[gate]]\nto = "listen"\njack = "gate_in_2"\n'


def instrument(folder, more=LAYER + LISTEN, model=MODEL):
    file = folder / "answering.toml"
    text = (INSTRUMENTS / "texture.toml").read_text()
    assert 'decoder = "texture"\n' in text
    file.write_text(text.replace('decoder = "texture"\n', model) + more)
    return file


def sources(target, folder, board="patch_sm"):
    """The C of a generated instrument with a prior, its ``instrument.c`` left to the harness."""
    built = generate(instrument(folder), board, folder / target, target=target)
    return [HERE / "prior_minute.c", *built.sources[1:]], [f"-I{built.folder}"]


def sums(target, seconds, folder):
    """A checksum of all latents of every second, every control moving."""
    if not toolchain.can_run(target):
        pytest.skip(f"{toolchain.TARGETS[target].runner[0]} is not installed")
    files, extra = sources(target, folder)
    if target == "m7":
        return _on_m7(files, extra, seconds, folder)
    if target == "wasm":
        module = toolchain.link_shared(files, "wasm", folder / "minute.wasm", extra=extra)
        words = ["node", str(HERE / "latents_minute.mjs"), str(module), str(seconds)]
    else:
        program = toolchain.link_program(
            [HERE / "latents_minute_main.c", *files], target, folder / f"minute-{target}", extra=extra
        )
        words = [*toolchain.run_command(target, program), str(seconds)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def _on_m7(files, extra, seconds, folder):
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import link
    from hardware.board import load_board

    board = load_board("patch_sm")
    objects = toolchain.compile_object(files, "m7", folder / "objects", extra=extra)
    machine = Machine(read_elf(link(objects, board, folder / "minute.elf", entry="latents_minute")), board)
    place = machine.place(bytes(4 * seconds), "sdram")
    machine.call("latents_minute", seconds, place)
    return [f"{one:08x}" for one in machine.read_array(place, np.dtype(np.uint32), seconds)]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return sums("host", 60, tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    from cffi import FFI

    folder = tmp_path_factory.mktemp("harness")
    files, extra = sources("host", folder)
    ffi = FFI()
    ffi.cdef(
        "void prior_minute(uint32_t seconds, uint32_t how, float temperature, uint32_t *sums, float *played);"
        "size_t prior_bytes(void);"
    )
    return ffi, ffi.dlopen(str(toolchain.link_shared(files, "host", folder / "minute.so", extra=extra)))


def free(harness, seconds, temperature):
    """What it plays by itself from rest, a hundred times a second, ``[N, Z]``."""
    ffi, library = harness
    latents = len(model_metadata.read_file(PRIOR).latents)
    played = np.zeros((seconds * FRAMES_A_SECOND, latents), np.float32)
    found = np.zeros(seconds, np.uint32)
    library.prior_minute(
        seconds, FREE, temperature, ffi.from_buffer("uint32_t[]", found), ffi.from_buffer("float[]", played)
    )
    return played


def test_every_second_of_it_is_another(here):
    assert len(set(here)) == 60


@pytest.mark.parametrize("target", ["m7", "aarch64", "wasm"])
def test_three_seconds_of_a_prior_are_the_same_on_every_target(target, here, tmp_path):
    assert sums(target, 3, tmp_path) == here[:3]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["m7", "aarch64", "wasm"])
def test_a_minute_of_a_prior_is_the_same_on_every_target(target, here, tmp_path):
    assert sums(target, 60, tmp_path) == here


def test_it_goes_on_as_onnxruntime_and_a_few_lines_of_numpy_say(harness):
    """The first two seconds: beyond, one step of rounding may have chosen another way."""
    about = model_metadata.read_file(PRIOR)
    tied, count = about.prior, len(about.latents)
    own, data = np.array(tied.own)[tied.temperatures.index(1.0)], np.array(tied.data)
    frames = walked(PRIOR, 95)
    played = free(harness, 2, 1.0)
    for sample, found in enumerate(played):
        n = max(0, 480 * sample // tied.ticks)
        way = min(1.0, (480 * sample + 48 - n * tied.ticks) / tied.ticks)
        raw = frames[max(0, n - 1)] + way * (frames[n] - frames[max(0, n - 1)])
        there = np.array([np.interp(raw[i], own[i], data[i]) for i in range(count)])
        wanted = raw + min(1.0, n / 16) * (there - raw)
        np.testing.assert_allclose(found, wanted, atol=0.02, err_msg=f"{sample}")


def test_ten_minutes_at_any_temperature_stay_where_the_data_are(harness):
    data = np.array(model_metadata.read_file(PRIOR).prior.data)
    rng = np.random.default_rng(0)
    places = rng.random(20_000)
    for temperature in TEMPERATURES:
        played = free(harness, 600, temperature)
        assert np.isfinite(played).all()
        for i, table in enumerate(data):
            sample = np.interp(places, np.linspace(0, 1, len(table)), table)
            assert ks_2samp(played[:, i], sample).statistic <= 0.10, (temperature, i)
        windows = np.lib.stride_tricks.sliding_window_view(played, 500, axis=0)[::50]
        assert (windows.max(-1) > windows.min(-1)).all(), temperature


def test_at_no_depth_it_only_listens_and_nothing_changes(tmp_path):
    built, plain = opened("texture", tmp_path / "plain", {})
    _, other = opened(instrument(tmp_path), tmp_path / "answering", {})
    made = moving(built, plain, 2)
    before, after = plain.render(made), other.render(made)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert "prior" not in (tmp_path / "plain" / "instrument.c").read_text().replace(".prior = NULL", "")


def test_it_changes_the_sound_once_it_answers_and_not_while_it_listens(tmp_path):
    built = generate(instrument(tmp_path), "patch_sm", tmp_path / "made", target="host")
    library = host_library(built)
    at = np.array([0.0, 1.0])
    rendered = []
    for depth, gate in ((0, 1), (1, 1), (1, 0)):
        host = HostInstrument(library)
        columns = {"prior/depth": (at, np.full(2, depth)), "gate_in_2": (at, np.full(2, gate))}
        rendered.append(host.render(moving(built, host, 2, columns)).audio)
    silent, listening, answering = rendered
    assert np.array_equal(listening, silent)
    assert not np.array_equal(answering, silent)


def test_its_memory_and_its_share_of_the_processor_are_as_predicted(harness, tmp_path):
    assert harness[1].prior_bytes() <= BYTES
    plain = generate("texture", "patch_sm", tmp_path / "plain").report
    more = generate(instrument(tmp_path), "patch_sm", tmp_path / "more").report
    assert 0.0 < more["cpu_mean"] - plain["cpu_mean"] <= 0.01


def of_another_codec(folder):
    model = onnx.load(str(PRIOR))
    model_metadata.write(model, {"codec": "0123456789abcdef"})
    file = folder / "foreign.onnx"
    onnx.save(model, str(file))
    return file


def test_a_prior_of_another_codec_is_refused_by_name(tmp_path):
    with pytest.raises(Refusal, match=r"and prior are of different runs .*prior 01234567"):
        generate(instrument(tmp_path), "patch_sm", tmp_path, models={"prior": of_another_codec(tmp_path)})


@pytest.mark.parametrize(
    ("more", "model", "words"),
    [
        (LAYER, 'decoder = "texture"\n', r"it needs a model: say prior = \"NAME\" in \[models\]"),
        ("", MODEL, r"its prior is not asked for; say prior = true in \[latents\]"),
        (
            LAYER,
            MODEL.replace("texture.prior", "texture"),
            "is the decoder of a texture",
        ),
        (LAYER, MODEL.replace("texture.prior", "drum"), "is a drum model, and this needs a texture model"),
    ],
)
def test_what_is_no_prior_is_refused_in_one_sentence(more, model, words, tmp_path):
    with pytest.raises(Refusal, match=words):
        build_instrument(instrument(tmp_path, more, model), "patch_sm", tmp_path / "x", objects_only=True)
