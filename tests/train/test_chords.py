"""Chords: symbols, files, windows, and what a model says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from common.chords import QUALITIES, SLOTS, name_of, number_of
from common.refusal import LeftOut, Refusal
from train.attributes.chords import DEFINITIONS, measure
from train.data.harmony.songs import read_song, windows
from train.data.harmony.symbol import chord_of
from train.data.kinds.chords import ChordsOptions
from train.data.prepare import prepare
from train.data.store import DataSet
from train.models.chords import (
    ChordsDecoder,
    ChordsShape,
    expected,
    measured,
    missed_nats,
    planes_of,
    read_chords,
    still_missing,
)

BILLBOARD = """\
# title: A Song
# artist: Nobody
# metre: 4/4
# tonic: C

0.0\tsilence
1.5\tA, verse, | C:maj | A:min G:7 | F:maj . . G:maj | C:maj |, (voice
9.0\t| D:min7/b3 | G:sus4(b7,9) | x2, voice)
# tonic: D
15.0\tB, chorus, | D:maj | (2/4) A:7 | &pause | N | D:1 |
30.0\tend
"""


@pytest.mark.parametrize(
    ("symbol", "tonic", "wanted"),
    [
        ("C:maj", 0, "I:maj"),
        ("C", 0, "I:maj"),
        ("Am", 0, "VI:min"),
        ("Bbmaj7", 10, "I:maj7"),
        ("F#:min7/b3", 6, "I:min7"),
        ("Cb:7(#9)", 4, "V:7"),
        ("G:maj6(9)", 0, "V:maj"),
        ("D:min(*b3,4)", 0, "II:sus"),
        ("E:hdim7", 0, "III:hdim"),
        ("Bm7b5", 0, "VII:hdim"),
        ("C:aug(b7)", 0, "I:aug"),
        ("A:5(b7)", 0, "VI:5"),
        ("A:1(b3,b7)/b7", 0, "VI:min7"),
        ("G:(3,5,b7)", 0, "V:7"),
        ("C:13", 0, "I:7"),
        ("Fmaj9", 0, "IV:maj7"),
        ("E7/G#", 0, "III:7"),
    ],
)
def test_a_symbol_is_a_degree_and_a_quality(symbol, tonic, wanted):
    assert name_of(chord_of(symbol, tonic)) == wanted


@pytest.mark.parametrize("symbol", ["H:maj", "C:foo", "C:maj(99)", "maj", "", "Cx", "C:maj/x", "A:min7(q)"])
def test_what_is_no_symbol_is_none(symbol):
    assert chord_of(symbol, 0) is None


def test_a_billboard_song_is_halves_of_bars(tmp_path):
    (tmp_path / "a.txt").write_text(BILLBOARD)
    song = read_song(tmp_path / "a.txt")
    assert (song.title, song.tonics) == ("A Song", ["C", "D"])
    names = [name_of(one) if one >= 0 else "-" for one in song.slots]
    two = ["II:min7", "II:min7", "V:sus", "V:sus"]
    assert names == [
        *("I:maj", "I:maj", "VI:min", "V:7", "IV:maj", "IV:maj", "I:maj", "I:maj"),
        *(two * 2),
        *("I:maj", "I:maj", "V:7", "V:7", "-", "-", "-", "-", "I:5", "I:5"),
    ]


def test_plain_text_and_lab_say_the_same(tmp_path):
    (tmp_path / "a.txt").write_text("tonic: G\nG | Em | C | D7\n| G | C D | Em |\n")
    (tmp_path / "a.lab").write_text(
        "# tonic: G\n# bar: 2.0\n0 2 G\n2 4 E:min\n4.0 6.01 C\n6.01 8 D:7\n8 10 G\n"
        "10 11 C\n11 12 D\n12 14 Em\n"
    )
    assert read_song(tmp_path / "a.txt").slots == read_song(tmp_path / "a.lab").slots
    (tmp_path / "b.lab").write_text((tmp_path / "a.lab").read_text().replace("# bar: 2.0\n", ""))
    song = read_song(tmp_path / "b.lab")
    assert (song.slots, song.bar_s) == (read_song(tmp_path / "a.txt").slots, pytest.approx(2.0, abs=0.02))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "# tonic: C\n\n| C:maj | D:foo |\n", ["line 3", "'D:foo'", "Eb:min7"]),
        ("a.txt", "| C:maj | D:min |\n", ["no tonic", "# tonic: C"]),
        ("a.txt", "# tonic: H\n| C:maj |\n", ["line 1", "'H'", "no tonic"]),
        ("a.txt", "words of a licence\n", ["no chords", "| C:maj | A:min |"]),
        ("a.lab", "# tonic: C\n0 2 C\n2 x C\n", ["line 3", "a start, an end and a chord"]),
        ("a.lab", "# tonic: C\n# bar: 0\n0 2 C\n", ["line 2", "0.2 to 20"]),
        ("a.lab", "# tonic: C\n0 nan C\n", ["line 2", "a start, an end and a chord"]),
        ("a.lab", "# tonic: C\n5 2 C\n", ["line 2"]),
    ],
)
def test_a_wrong_file_is_left_out_with_its_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(LeftOut) as reason:
        read_song(tmp_path / name)
    for word in words:
        assert word in str(reason.value)


def test_bytes_that_are_no_text_are_left_out(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xfe\x12\x00|\xff")
    with pytest.raises(LeftOut, match="cannot be read"):
        read_song(tmp_path / "a.txt")


def test_windows_have_chords_throughout():
    slots = [3] * 40 + [-1] * 3 + [5] * 17
    found = windows(slots, 2)
    assert found == [*range(0, 40 - SLOTS + 1, 4), 44]
    assert all(-1 not in slots[one : one + SLOTS] for one in found)
    assert windows([3] * (SLOTS - 1), 1) == []


def songs(folder, count=12):
    folder.mkdir()
    loop = ["C", "Am", "F", "G7", "Dm", "Em", "C", "G"]
    for number in range(count):
        bars = " | ".join(loop[(number * 3 + bar) % 8] for bar in range(16))
        title = f"Song {number // 2}"  # two files of every title
        (folder / f"{number}.txt").write_text(f"# title: {title}\n# tonic: C\n| {bars} |\n")
    return folder


def test_a_folder_becomes_a_data_set_split_by_title(tmp_path):
    source = songs(tmp_path / "songs")
    (source / "bad.txt").write_text("# tonic: C\n| C | Zz |\n")
    outcome = prepare("chords", source, tmp_path / "data", ChordsOptions(hop_bars=2))
    assert [one["file"] for one in outcome.left_out] == ["bad.txt"]
    assert "line 2: 'Zz'" in outcome.left_out[0]["reason"]
    data = DataSet.open(tmp_path / "data")
    data.verify()
    assert data.arrays["chords"].shape == (12 * 5, SLOTS)
    sides = {}
    for item in data.manifest:
        sides.setdefault(item["group"], set()).add(item["split"])
    assert len(sides) == 6
    assert all(len(one) == 1 for one in sides.values())
    assert {side for one in sides.values() for side in one} == {"train", "validation", "test"}
    report = json.loads((tmp_path / "data" / "report.json").read_text())
    assert (report["songs"], report["titles"]) == (12, 6)
    assert "<audio" in (tmp_path / "data" / "report.html").read_text()


def test_a_folder_without_a_usable_song_is_refused(tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.txt").write_text("# tonic: C\n| C | F | G |\n")
    with pytest.raises(Refusal, match="has 3 bars"):
        prepare("chords", tmp_path / "songs", tmp_path / "data", ChordsOptions())
    assert not (tmp_path / "data" / "manifest.json").exists()


def progression(*names):
    roots = {"I": 0, "II": 2, "IV": 5, "V": 7, "VI": 9}
    numbers = [number_of(roots[n.split(":")[0]], n.split(":")[1]) for n in names]
    return torch.from_numpy(np.repeat(numbers, SLOTS // len(numbers)))[None]


def test_attributes_measure_what_they_say():
    home = progression("I:maj")
    cadence = progression("I:maj", "VI:min", "II:min7", "V:7")
    rows = measured(torch.cat([home, cadence]))
    tension, motion, minor = rows.T
    assert list(DEFINITIONS) == ["tension", "motion", "minor"]
    assert tension[0] < tension[1]
    assert motion.tolist() == pytest.approx([0, 3 / 15])
    assert minor.tolist() == pytest.approx([0, 0.5])
    uniform = measure(torch.full((1, 12, 16), 1 / 12), torch.full((1, 10, 16), 0.1), torch.zeros(1, 15))
    assert 0 < float(uniform[0, 0]) < 1


def test_scores_cost_what_the_mixture_says():
    """Against the sum over both ways to a chord, written out slot by slot."""
    torch.manual_seed(3)
    chords = torch.randint(0, 120, (5, SLOTS))
    chords[:, 4:9] = chords[:, 4:5]
    logits = torch.randn(5, 23, SLOTS)
    q = len(QUALITIES)
    for row in range(5):
        nats = 0.0
        for slot in range(SLOTS):
            root = logits[row, :12, slot].softmax(0)[chords[row, slot] // q]
            fresh = root * logits[row, 12:22, slot].softmax(0)[chords[row, slot] % q]
            hold = torch.sigmoid(logits[row, 22, slot])
            same = float(slot > 0 and chords[row, slot] == chords[row, slot - 1])
            nats -= float(torch.log(fresh if slot == 0 else hold * same + (1 - hold) * fresh))
        assert float(missed_nats(logits[row : row + 1], chords[row : row + 1])) == pytest.approx(
            nats, rel=1e-4
        )


def test_all_progressions_together_have_probability_one():
    """Over two slots, the others held for sure."""
    logits = torch.randn(1, 23, SLOTS)
    logits[:, 22, 2:] = 60.0
    first, second = torch.meshgrid(torch.arange(120), torch.arange(120), indexing="ij")
    chords = torch.cat([first.reshape(-1, 1), second.reshape(-1, 1).expand(-1, SLOTS - 1)], 1)
    assert float(torch.exp(-missed_nats(logits.expand(len(chords), -1, -1), chords)).sum()) == pytest.approx(
        1.0, abs=1e-3
    )


def test_what_is_read_off_a_progression_is_the_progression():
    chords = torch.randint(0, 120, (7, SLOTS))
    chords[:, 3:6] = chords[:, 3:4]
    assert torch.equal(read_chords(planes_of(chords) * 2 - 1), chords)


def test_expected_attributes_are_those_of_what_is_read():
    logits = torch.randn(6, 23, SLOTS, requires_grad=True)
    made = expected(logits)
    assert torch.allclose(made, measured(read_chords(logits)), atol=1e-6)
    made.sum().backward()
    assert float(logits.grad.abs().sum()) > 0


def test_only_the_likeliest_slots_are_asked_to_turn_minor():
    """Five of sixteen major chords have to turn: the five whose minor quality is nearest, and no other."""
    major, minor = (list(QUALITIES).index(quality) for quality in ("maj", "min"))
    logits = torch.full((1, 23, SLOTS), -9.0)
    logits[:, 0] = 9.0
    logits[:, 12 + major] = 4.0
    logits[:, 12 + minor] = torch.linspace(0, 3, SLOTS)
    logits.requires_grad_()
    lacking = still_missing(logits, torch.tensor([[0.0, 0.0, 5 / SLOTS]]))
    lacking.sum().backward()
    pushed = logits.grad[0, 12 + minor] < -1e-4
    assert pushed.tolist() == [slot >= SLOTS - 5 for slot in range(SLOTS)]
    assert float(still_missing(logits, torch.zeros(1, 3)).detach()) == pytest.approx(0.0, abs=1e-6)


def test_both_forms_of_the_decoder_agree():
    decoder = ChordsDecoder(ChordsShape(width=16, depth=2))
    z, attributes = torch.randn(4, 8, 1), torch.randn(4, 3, 1)
    assert torch.allclose(decoder(z, attributes), decoder.logits(z, attributes).clamp(-12, 12), atol=1e-5)
