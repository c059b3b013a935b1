"""Every shipped instrument shows itself on every shipped board: a script and an input of its own."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import vaectrol
from common.refusal import Refusal
from firmware.instruments.demo import find_demo
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.play.picture import moved
from firmware.play.render import has_sound, play
from firmware.play.struck import Piece, settings_of
from firmware.play.verdict import complaint, dbfs
from hardware.board import available_boards, load_board
from toy.demo_phrases import PHRASES, play_phrase

QUIETEST_DBFS, LOUDEST_DBFS = -18.0, -3.0
COMMON_JACKS = set.intersection(
    *(
        {part.name for part in (*board.adcs, *board.gates_in, *board.buttons)}
        for board in map(load_board, available_boards())
    )
)


def rows_of(script):
    lines = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def phrases():
    """Each phrase is played once."""
    return {name: play_phrase(name) for name in PHRASES}


def shown(instrument, board, phrases, **options):
    demo = find_demo(instrument)
    return play(instrument, board=board, script=demo.script, sounds=demo.inputs(phrases.get), **options)


@pytest.mark.parametrize("board", available_boards())
@pytest.mark.parametrize("instrument", available_instruments())
def test_a_demonstration_is_heard_on_every_board(instrument, board, phrases):
    played = shown(instrument, board, phrases)
    assert complaint(played.rendered, has_sound(played.built)) is None
    assert QUIETEST_DBFS <= dbfs(played.peak) <= LOUDEST_DBFS
    assert 10.0 <= played.seconds <= 20.0
    # something sounds in every two seconds of it
    spans = np.abs(played.sound[:, : -48_000 * 2]).max(axis=0)
    pieces = np.array_split(spans, max(1, len(spans) // 96_000))
    assert min(piece.max() for piece in pieces) > 0.01


@pytest.mark.parametrize("instrument", ["drum", "drum_electronic"])
def test_every_hit_of_a_script_begins_where_its_gate_rises(instrument, phrases):
    played = shown(instrument, "patch_sm", phrases)
    sound = played.sound[0]
    rises = np.flatnonzero(np.diff((played.gates_in[0] > 1).astype(int)) > 0) + 1
    assert len(rises) > 40
    louder = [
        np.abs(sound[at + 48 : at + 480]).max() > 1.05 * np.abs(sound[at - 96 : at]).max() for at in rises
    ]
    assert np.mean(louder) > 0.9


@pytest.mark.parametrize("instrument", available_instruments())
def test_a_demonstration_names_only_jacks_that_every_board_has(instrument):
    for other in (False, True):
        demo = find_demo(instrument, other_models=other)
        named = set(rows_of(demo.script)[0]) - {"time"}
        jacks = {name for name in named if name.startswith(("knob_", "cv_", "gate_", "button_", "audio_"))}
        assert jacks
        assert jacks <= COMMON_JACKS
        assert demo.about.endswith(".")


def test_a_rhythm_is_heard_through_the_drums_that_its_gates_strike(phrases):
    on_host, on_module = (shown("rhythm", board, phrases, seconds=4.0) for board in ("host", "patch_sm"))
    assert on_host.struck == on_module.struck == "drum_electronic"
    # two gates leave a Patch SM, twelve the host: no hats there, and the first kick at the same place
    brightness = [np.abs(np.diff(played.sound[0])).mean() for played in (on_host, on_module)]
    assert brightness[0] > 2 * brightness[1]
    first = [int(np.flatnonzero(np.abs(played.sound[0]) > 1e-4)[0]) for played in (on_host, on_module)]
    assert abs(first[0] - first[1]) < 48


def test_an_instrument_of_ones_own_borrows_the_demonstration_of_its_kind(tmp_path):
    mine = tmp_path / "mine.toml"
    text = load_instrument("drum").located.path.read_text()
    mine.write_text(text[: text.index("[demo]")] + text[text.index("[models]") :])
    assert find_demo(mine).script == find_demo("drum", other_models=True).script
    (tmp_path / "mine.csv").write_text("time,gate_in_1\n0,1\n")
    mine.write_text(f'{mine.read_text()}\n[demo]\nabout = "Mine."\nscript = "mine.csv"\n')
    assert find_demo(mine).script == tmp_path / "mine.csv"
    mine.write_text(mine.read_text().replace('"mine.csv"', '"gone.csv"'))
    with pytest.raises(Refusal, match=r"mine\.toml line \d+: demo: there is no file .*gone\.csv"):
        find_demo(mine)


def test_play_demo_ends_with_a_sound_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert vaectrol.main(["play", "rhythm", "--demo", "--seconds", "2", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["files"] == ["rhythm.wav", "rhythm.cv.wav", "rhythm.gates.wav", "rhythm.png"]
    assert made["struck"] == "drum_electronic"
    assert vaectrol.main(["play", "drive", "--demo", "--seconds", "2", "--board", "seed", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["peak_volts"] == pytest.approx(made["peak"] * load_board("seed").audio.full_scale_volts_out)
    assert vaectrol.main(["play", "drum", "--demo", "--cv", "x.csv"]) == 2
    assert "--demo does not go with --cv" in capsys.readouterr().err


def test_the_emulated_module_takes_a_demonstration_whole_with_presets_and_parameters(tmp_path, capsys):
    """The drum's script saves and recalls presets by command, as a remote would: the module obeys."""
    out = tmp_path / "module.wav"
    words = ["emulate", "drum_electronic", "--demo", "--seconds", "0.4", "--callbacks", "5", "-o", str(out)]
    assert vaectrol.main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["equals_host"]
    assert report["samples_that_differ"] == 0
    assert report["complaint"] is None
    assert json.loads(out.with_suffix(".json").read_text()) == report


@pytest.mark.parametrize(
    "instrument", [one for one in available_instruments() if load_instrument(one).spec.models]
)
def test_what_is_said_of_the_factory_model_is_not_said_of_others(instrument):
    """Its latents mean other sounds: a sentence that promises a ride or a fuzz would be wrong."""
    own, others = find_demo(instrument), find_demo(instrument, other_models=True)
    assert others.about != own.about
    assert others.sounds == own.sounds


def test_controls_that_move_together_are_drawn_once():
    ramp, step = np.linspace(0, 1, 5), np.repeat([0.0, 1.0], [2, 3])
    names = ["latent/1", "density/kick", "density/snare", "level", "swing", "pan"]
    found = moved(names, np.column_stack([ramp, step, step, np.full(5, 0.5), 1 - ramp, 1 - ramp]))
    assert [name for name, _ in found] == ["latent/1", "density, 2 of them", "swing, pan"]
    assert all(
        np.array_equal(curve, wanted)
        for (_, curve), wanted in zip(found, [ramp, step, 1 - ramp], strict=True)
    )


def test_a_kit_that_sets_what_its_instrument_has_not_is_refused():
    piece = Piece(set={"class": 0.5, "x": 0.5})
    with pytest.raises(
        Refusal, match=r"kit.toml sets x, and drum has no such parameter; it has class, level\."
    ):
        settings_of(piece, {"class": 0, "level": 1}, "drum")
    (event,) = settings_of(Piece(set={"level": 0.25}), {"class": 0, "level": 1}, "drum")
    assert (event.tick, event.index, event.value) == (0, 1, 0.25)
