"""A swept latent, through the whole chain and a quantized model, makes no line that the float model has not.

CV → calibration → smoother → quantile table → ramp → frames → int8 weights, int16 activations → sound,
against the float model in onnxruntime with the same sweep as an exact curve, frame by frame.
"""

from __future__ import annotations

import numpy as np
import pytest

SAMPLE_RATE_HZ = 48_000
HOP = 48
TONE_HZ = 1_370.0
LFO_HZ = 3.0
FLOOR_DBFS = -80.0
NEAR_HZ = 60.0
"""A line this near to one of the float model's is that line: the smoother bends the sweep a little."""


def quantized(source, folder):
    """W8A16 by onnxruntime's static quantization, calibrated on what the sweep plays."""
    from quantize.ptq import quantize_static

    examples = folder / "examples"
    examples.mkdir()
    rng = np.random.default_rng(2)
    for number in range(4):
        n = np.arange(2400) + 2400 * number
        latent = 4.0 * (2.0 * rng.random((1, 4, 50)) - 1.0) ** 3
        audio = 0.5 * np.sin(2 * np.pi * TONE_HZ / SAMPLE_RATE_HZ * n)[None, None]
        np.savez(examples / f"{number}.npz", audio=audio.astype(np.float32), latent=latent.astype(np.float32))
    out = folder / "drive.int8.onnx"
    quantize_static(source, examples, out, folder / "report", 16, "minmax")
    return out


def sweep(n):
    """Position of the latent after n samples: nearly the whole travel, three times a second."""
    return 0.5 + 0.45 * np.sin(2 * np.pi * LFO_HZ / SAMPLE_RATE_HZ * n)


def spectrum_dbfs(sound):
    """Lines of a sound: 0 dBFS is a full-scale sine. Blackman-Harris, whose side lobes are below −92 dB."""
    from scipy.signal.windows import blackmanharris

    window = blackmanharris(sound.size, sym=False)
    return 20 * np.log10(np.abs(np.fft.rfft(sound * window)) * 2 / window.sum() + 1e-12)


def lines_beyond(spectrum, reference):
    """Bins of `spectrum` above the floor where `reference` has nothing of the kind nearby."""
    from scipy.ndimage import maximum_filter1d

    bins = int(NEAR_HZ * 2) * 2 + 1  # two seconds: half a hertz a bin
    return np.flatnonzero((spectrum > FLOOR_DBFS) & (spectrum > maximum_filter1d(reference, bins) + 6.0))


@pytest.fixture(scope="module")
def rendered(model_files, tmp_path_factory):
    """The instrument's sound and the float model's, two seconds each, after one to settle."""
    import onnxruntime

    from firmware.build import generate, host_library
    from firmware.play.host import HostInstrument
    from firmware.script.cv_script import Script, signals

    folder = tmp_path_factory.mktemp("swept")
    built = generate("drive", "host", folder, models={"drive": quantized(model_files["drive"], folder)})
    host = HostInstrument(host_library(built))
    ticks = 3 * SAMPLE_RATE_HZ
    n = np.arange(ticks)
    tone = (0.5 * np.sin(2 * np.pi * TONE_HZ / SAMPLE_RATE_HZ * n)).astype(np.float32)
    fixed = {"mix": 1.0, "gain": 0.5, "match": 0.0, "level": 1.0, "latent/2": 0.5, "latent/3": 0.7}
    columns = {name: (np.array([0.0]), np.array([value])) for name, value in fixed.items()}
    columns["knob_1"] = (np.array([0.0]), np.array([0.5]))
    # the knob in the middle, the CV swings: ±5 V are the whole travel
    columns["cv_1"] = (n / SAMPLE_RATE_HZ, 10.0 * (sweep(n) - 0.5))
    made = signals(Script(columns=columns), built.board, ticks, host.parameters, {"audio_in_1": tone})
    sound = host.render(made).audio[0]

    frames = np.arange(ticks // HOP)
    positions = np.full((4, frames.size), 0.5)
    positions[0], positions[2] = sweep(frames * HOP), 0.7
    table = np.asarray(built.assignment.models["drive"].about.latents[0].quantiles)
    latent = np.interp(positions, np.linspace(0, 1, table.size), table).astype(np.float32)
    session = onnxruntime.InferenceSession(str(model_files["drive"]), providers=["CPUExecutionProvider"])
    (exact,) = session.run(None, {"audio": tone[None, None], "latent": latent[None]})
    return sound[SAMPLE_RATE_HZ:].astype(np.float64), exact[0, 0, SAMPLE_RATE_HZ:].astype(np.float64)


def test_a_swept_latent_adds_no_line_that_float_has_not(rendered):
    sound, exact = spectrum_dbfs(rendered[0]), spectrum_dbfs(rendered[1])
    assert exact.max() > -20.0  # there is something to compare
    assert (exact > FLOOR_DBFS).sum() > 50  # and it is swept: side lines everywhere
    added = lines_beyond(sound, exact)
    assert added.size == 0, [(bin_ / 2, sound[bin_], exact[bin_]) for bin_ in added[:10]]


def test_a_latent_in_steps_of_a_block_would_be_seen(rendered):
    """The measure sees what it is there for: the same sound under a control that is held for 5 ms."""
    _, exact = rendered
    n = np.arange(exact.size)
    stepped = exact * (1.0 + 0.5 * sweep(n // 240 * 240))
    smooth = exact * (1.0 + 0.5 * sweep(n))
    assert lines_beyond(spectrum_dbfs(stepped), spectrum_dbfs(smooth)).size > 0
