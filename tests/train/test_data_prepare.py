"""From a messy folder to a data set: whole, repeatable, resumable, and honest about what it left out."""

from __future__ import annotations

import fnmatch
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.drums import CLASSES
from common.refusal import Refusal
from tests.pages import check_page
from tests.train.data_sources import beat, hit, kits, midi, write
from toy.make import make_drive, make_drums, make_rhythms
from train.data.kinds.drum import DrumOptions
from train.data.kinds.rhythm import RhythmOptions
from train.data.prepare import prepare
from train.data.store import SPLITS, DataSet

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, **more):
    return subprocess.run(
        [sys.executable, str(ROOT / "vaectrol.py"), "data", "prepare", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **more,
    )


def last_line(done):
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def toy_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    make_drums(folder / "drum", 64, 0)
    make_rhythms(folder / "rhythm", 66, 0)
    make_drive(folder / "drive", 24, 0, 0.5, [])
    for kind in ("drum", "rhythm", "drive"):
        prepare(kind, folder / kind, folder / f"{kind}_set")
    return folder


@pytest.mark.parametrize("kind", ["drum", "rhythm", "drive"])
def test_toy_sets_go_through_whole_and_keep_their_truth(toy_sets, kind):
    ds = DataSet.open(toy_sets / f"{kind}_set")
    ds.verify()
    truth = {
        item["name"]: item for item in json.loads((toy_sets / kind / "manifest.json").read_text())["items"]
    }
    assert ds.kind == kind and not ds.head["left_out"]
    assert {item["split"] for item in ds.manifest} == set(SPLITS)
    for item in ds.manifest:
        name = item["name"].split("/")[-1].split(":")[0]
        told = truth[name]
        for field in ("factors", "parameters", "chain"):
            if field in told:
                assert item[field] == told[field]
    assert isinstance(ds.arrays[next(iter(ds.arrays))], np.memmap)


def test_drums_come_back_as_they_were_made(toy_sets):
    from toy import drums

    ds = DataSet.open(toy_sets / "drum_set")
    assert [ds.manifest[i]["class"] for i in range(len(ds))] == [CLASSES[k] for k in ds.class_index()]
    for index in range(0, len(ds), 9):
        number, take = (int(part) for part in ds.manifest[index]["name"].split("/")[-1].split("_")[-2:])
        made = drums.hit(0, number * drums.HITS_PER_INSTRUMENT + take).audio
        got = ds.audio(index, normalise=None)
        lag = int(np.argmax(np.correlate(made[:4000], got[:2000], "valid")))
        assert lag < 1500
        n = int(0.6 * len(got))
        # up to the DC estimate and 24 bits
        assert np.abs(got[:n] - made[lag : lag + n]).max() < 5e-3
        assert np.abs(ds.audio(index)).max() == pytest.approx(1.0, abs=1e-4)


def test_rhythms_come_back_exactly(toy_sets):
    ds = DataSet.open(toy_sets / "rhythm_set")
    rows = {
        item["file"]: item["row"]
        for item in json.loads((toy_sets / "rhythm/manifest.json").read_text())["items"]
    }
    wanted = np.load(toy_sets / "rhythm/patterns.npy")
    for index, item in enumerate(ds.manifest):
        assert np.array_equal(ds.pattern(index), wanted[rows[item["file"]]])


def test_drive_pairs_come_back_exactly_and_aligned(toy_sets):
    from scipy.io import wavfile

    ds = DataSet.open(toy_sets / "drive_set")
    assert {item["delay_samples"] for item in ds.manifest} == {0}
    assert {item["polarity"] for item in ds.manifest} == {1}
    whole = {}
    for index, item in enumerate(ds.manifest):
        dry, wet = ds.pair(index)
        assert len(dry) == len(wet) == item["samples"]
        whole.setdefault(item["file"], []).append(wet)
    for name, pieces in whole.items():
        assert np.array_equal(np.concatenate(pieces), wavfile.read(toy_sets / "drive" / name)[1])


def test_the_same_command_gives_the_same_hash(tmp_path):
    source = kits(tmp_path / "src")
    a = prepare("drum", source, tmp_path / "a")
    b = prepare("drum", shutil.copytree(source, tmp_path / "moved"), tmp_path / "b")
    assert a.manifest["hash"] == b.manifest["hash"]
    again = prepare("drum", source, tmp_path / "a")
    assert again.already and again.manifest["hash"] == a.manifest["hash"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "arrays",
        "manifest.json",
        "report.html",
        "report.json",
    ]
    write(source / "Kit A/tom.wav", hit(110))
    more = prepare("drum", source, tmp_path / "a")  # the same folder, grown
    assert not more.already and len(more.manifest["items"]) == len(a.manifest["items"]) + 1


@pytest.mark.parametrize("kind", ["drum", "rhythm"])
def test_a_set_of_before_kinds_were_singular_opens_and_keeps_its_hash(toy_sets, tmp_path, kind):
    folder = shutil.copytree(toy_sets / f"{kind}_set", tmp_path / "old")
    head = json.loads((folder / "manifest.json").read_text())
    assert head.pop("hashed_as") == f"{kind}s" and head["kind"] == kind
    (folder / "manifest.json").write_text(json.dumps({**head, "kind": f"{kind}s"}))
    old = DataSet.open(folder)
    old.verify()
    assert old.kind == kind and old.hash == DataSet.open(toy_sets / f"{kind}_set").hash
    assert prepare(kind, toy_sets / kind, folder).already


def test_a_plural_is_told_what_its_kind_is_called(tmp_path):
    with pytest.raises(Refusal, match="there is no kind 'drums'; the kind is called drum"):
        prepare("drums", tmp_path, tmp_path / "out")
    done = run("rhythms", tmp_path, tmp_path / "out")
    assert done.returncode == 2 and last_line(done).endswith("the kind is called rhythm")
    done = run("noise", tmp_path, tmp_path / "out")
    assert done.returncode == 2 and last_line(done).endswith(
        "choose one of chords, drive, drum, ear, modal, rhythm, texture, voice"
    )


KIND_OF_ONE_FILE = """
from dataclasses import dataclass, field
from train.data.kinds.base import Options, Preparation, says

@dataclass(frozen=True)
class LetterOptions(Options):
    often: int = field(default=3, metadata=says("How often each is read."))

class Letters(Preparation):
    \"\"\"Letters, as they are written.\"\"\"
    options_type = LetterOptions
    endings = frozenset({"txt"})
    what = "letters"
"""


def test_a_file_in_the_folder_of_kinds_is_a_kind_with_a_command_and_options(tmp_path, monkeypatch, capsys):
    import train.data.kinds
    import vaectrol

    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "letter.py").write_text(KIND_OF_ONE_FILE)
    monkeypatch.setattr(train.data.kinds, "__path__", [*train.data.kinds.__path__, str(tmp_path / "kinds")])
    assert train.data.kinds.data_kinds() == (
        "chords",
        "drive",
        "drum",
        "ear",
        "letter",
        "modal",
        "rhythm",
        "texture",
        "voice",
    )
    assert vaectrol.main(["data", "prepare", "letter", "--help"]) == 0
    said = capsys.readouterr().out
    assert "Letters, as they are written." in said and "--often" in said
    assert vaectrol.main(["data", "prepare", "letter", str(tmp_path / "kinds"), str(tmp_path / "o")]) == 2
    assert "holds no letters" in capsys.readouterr().err
    assert vaectrol.main(["data", "prepare", "notes", "--help"]) == 0  # the voice's kind by its other name
    assert "vaectrol data prepare notes ~/" in capsys.readouterr().out


def test_kits_and_instruments_are_never_cut(tmp_path):
    prepare("drum", kits(tmp_path / "src", kits=6, takes=3), tmp_path / "out")
    ds = DataSet.open(tmp_path / "out")
    for group in set(ds.column("group")):
        assert len({item["split"] for item in ds.manifest if item["group"] == group}) == 1
    assert len(set(ds.column("group"))) == 18


def test_who_is_held_out_is_the_whole_test_split(tmp_path, toy_sets):
    def split_of(pattern):
        prepare("rhythm", toy_sets / "rhythm", tmp_path / "set", RhythmOptions(hold_out=pattern))
        return {row["file"]: row["split"] for row in DataSet.open(tmp_path / "set").manifest}

    plain = {row["file"]: row["split"] for row in DataSet.open(toy_sets / "rhythm_set").manifest}
    pattern = sorted(plain)[0][:-6] + "*"
    held = {name for name in plain if fnmatch.fnmatch(name, pattern)}
    now = split_of(pattern)
    assert 0 < len(held) < len(plain) and held <= {name for name in now if now[name] == "test"}
    groups = {row["file"]: row["group"] for row in DataSet.open(tmp_path / "set").manifest}
    gone = {groups[name] for name in held}
    for name, split in now.items():
        wanted = "test" if groups[name] in gone else {"test": "train"}.get(plain[name], plain[name])
        assert split == wanted, name
    for nothing in ("nobody/*", "*"):
        with pytest.raises(Refusal, match="--hold-out"):
            prepare("rhythm", toy_sets / "rhythm", tmp_path / "other", RhythmOptions(hold_out=nothing))


def test_whole_kits_can_be_what_a_training_is_chosen_by(tmp_path):
    source = kits(tmp_path / "src", kits=6, takes=3)
    wanted = DrumOptions(hold_out="Kit A/*", validate_on="Kit B/*,Kit C/*")
    prepare("drum", source, tmp_path / "set", wanted)
    sides = {"Kit A": "test", "Kit B": "validation", "Kit C": "validation"}
    for item in DataSet.open(tmp_path / "set").manifest:
        assert item["split"] == sides.get(item["file"].split("/")[0], "train"), item["file"]
    with pytest.raises(Refusal, match="--validate-on nobody"):
        prepare("drum", source, tmp_path / "other", DrumOptions(validate_on="nobody/*"))


def test_what_is_tested_on_chooses_nothing(tmp_path):
    source = kits(tmp_path / "src", kits=6, takes=3)
    prepare("drum", source, tmp_path / "set", DrumOptions(hold_out="Kit A/*", validate_on="Kit [AB]/*"))
    sides = {"Kit A": "test", "Kit B": "validation"}
    for item in DataSet.open(tmp_path / "set").manifest:
        assert item["split"] == sides.get(item["file"].split("/")[0], "train"), item["file"]


def test_a_copy_under_another_name_stays_on_the_same_side(tmp_path):
    source = kits(tmp_path / "src", kits=6)
    for kit in "ABCDEF":
        shutil.copy(source / f"Kit {kit}/kick_01.wav", source / f"Kit {kit}/bd mystery {kit}.wav")
    prepare("drum", source, tmp_path / "out")
    side = {item["file"]: item["split"] for item in DataSet.open(tmp_path / "out").manifest}
    for kit in "ABCDEF":
        assert side[f"Kit {kit}/bd mystery {kit}.wav"] == side[f"Kit {kit}/kick_01.wav"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert any("the same sound" in one["text"] and len(one["files"]) >= 6 for one in report["findings"])


def killed_at(number, arguments):
    """Run ``prepare`` in a child that is killed (SIGKILL) at its ``number``-th rename, before or after it."""
    child = os.fork()
    if child == 0:
        count, real = 0, os.replace

        def replace(a, b):
            nonlocal count
            count += 1
            if count == number:
                if number % 2:
                    real(a, b)
                os.kill(os.getpid(), signal.SIGKILL)
            real(a, b)

        os.replace = replace
        try:
            prepare(*arguments)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("drum", (2, 9, 15, 17)),
        pytest.param("rhythm", (4, 8), marks=pytest.mark.slow),
        pytest.param("drive", (6, 13), marks=pytest.mark.slow),
        *(pytest.param(kind, None, marks=pytest.mark.slow) for kind in ("drum", "rhythm", "drive")),
    ],
)
def test_killed_anywhere_the_next_run_ends_with_the_same_hash(tmp_path, kind, points):
    """Some renames here; with ``-m slow`` every single one (points None)."""
    source = tmp_path / "src"
    if kind == "drum":
        kits(source, kits=2, takes=2)
    elif kind == "rhythm":
        for number in range(5):
            midi(source / f"rock_{number}.mid", beat(3 + number), beats=4 * (3 + number))
    else:
        make_drive(source, 4, 0, 0.3, [])
    wanted = prepare(kind, source, tmp_path / "whole").manifest["hash"]
    kills = 0
    for number in points or range(1, 1000):
        out = tmp_path / f"out{number}"
        if not killed_at(number, (kind, source, out)):
            break
        kills += 1
        if not (out / "manifest.json").exists():
            with pytest.raises(Refusal, match="unfinished"):
                DataSet.open(out)
        outcome = prepare(kind, source, out)
        assert outcome.manifest["hash"] == wanted
        ds = DataSet.open(out)
        ds.verify()
        assert ds.hash == wanted and not (out / ".work").exists() and (out / "report.html").exists()
        shutil.rmtree(out)
    assert kills == len(points) if points else kills >= 8


@pytest.mark.slow
def test_killed_at_any_time_through_the_command_line(tmp_path):
    """SIGKILL at random moments of the real program until it gets through."""
    make_drums(tmp_path / "src", 160, 0)
    wanted = json.loads(run("drum", tmp_path / "src", tmp_path / "whole", "--json").stdout)["hash"]
    rng = np.random.default_rng(0)
    for _ in range(30):
        command = [
            sys.executable,
            str(ROOT / "vaectrol.py"),
            "data",
            "prepare",
            "drum",
            str(tmp_path / "src"),
        ]
        process = subprocess.Popen([*command, str(tmp_path / "out")], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.8, 3.0))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = run("drum", tmp_path / "src", tmp_path / "out", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["hash"] == wanted
    DataSet.open(tmp_path / "out").verify()


def test_bad_files_are_left_out_by_name_and_the_exit_status_says_so(tmp_path):
    source = kits(tmp_path / "src")
    (source / "letter.wav").write_text("Dear drummer, this is no sound.")
    whole = write(tmp_path / "snare.wav", hit(noise=0.4, seconds=0.6)).read_bytes()
    (source / "cut snare.wav").write_bytes(whole[: len(whole) // 2])
    (source / "empty kick.wav").write_bytes(b"")
    write(source / "silent tom.wav", np.zeros(4410))
    (source / "clap.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    done = run("drum", source, tmp_path / "out", "--json")
    outcome = json.loads(done.stdout)
    assert done.returncode == 1 and outcome["items"] == 18
    reasons = {one["file"]: one["reason"] for one in outcome["left_out"]}
    assert set(reasons) == {"letter.wav", "cut snare.wav", "empty kick.wav", "silent tom.wav", "clap.m4a"}
    assert "truncated" in reasons["cut snare.wav"] and "convert it" in reasons["clap.m4a"]
    page = (tmp_path / "out/report.html").read_text()
    assert all(name in page for name in reasons)
    again = run("drum", source, tmp_path / "out")
    assert again.returncode == 1 and "already holds this data set" in again.stdout


def test_a_clean_folder_ends_with_status_0(tmp_path):
    done = run("drum", kits(tmp_path / "src"), tmp_path / "out")
    assert done.returncode == 0 and "18 items" in done.stdout


REFUSED = [
    ("no such folder", lambda p: p / "nowhere", "does not exist"),
    ("a file", lambda p: write(p / "a.wav", hit()), "is a file"),
    ("no audio", lambda p: (write_text(p / "src/readme.txt"), p / "src")[1], "holds no audio"),
    ("nothing usable", lambda p: (write_text(p / "src/kick.wav"), p / "src")[1], "nothing in"),
    ("foreign only", lambda p: (write_text(p / "src/kick.m4a"), p / "src")[1], "formats that cannot be read"),
    (
        "broken manifest",
        lambda p: (write_text(p / "src/manifest.json"), kits(p / "src"))[1],
        "cannot be read",
    ),
]


def write_text(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not what you think")


@pytest.mark.parametrize(("what", "source", "says"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_hopeless_source_is_refused_in_one_sentence(tmp_path, what, source, says):
    with pytest.raises(Refusal) as refusal:
        prepare("drum", source(tmp_path), tmp_path / "out")
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(Refusal):
        prepare("drum", source(tmp_path), tmp_path / "mine")
    assert (tmp_path / "mine").is_dir() and not any((tmp_path / "mine").iterdir())


def test_refusals_reach_the_command_line_as_status_2(tmp_path):
    done = run("drum", tmp_path / "nowhere", tmp_path / "out")
    assert done.returncode == 2 and last_line(done).startswith("vaectrol: ")
    write(tmp_path / "src/a_dry.wav", hit())
    done = run("drive", tmp_path / "src", tmp_path / "out")
    assert done.returncode == 2 and "holds no pairs" in last_line(done)
    midi(tmp_path / "midi/piano.mid", [(k / 2, 60 + k, 90) for k in range(8)], channel=0)
    done = run("rhythm", tmp_path / "midi", tmp_path / "out2")
    assert done.returncode == 2 and "piano.mid has no drums" in last_line(done)


def test_two_sources_do_not_share_an_output(tmp_path):
    one, two = kits(tmp_path / "one"), kits(tmp_path / "two", kits=2)
    prepare("drum", one, tmp_path / "out")
    with pytest.raises(Refusal, match=r"was begun from .*one"):
        prepare("drum", two, tmp_path / "out")
    assert killed_at(4, ("drum", one, tmp_path / "half"))
    with pytest.raises(Refusal, match=r"was begun from .*one"):
        prepare("drum", two, tmp_path / "half")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("keep me")
    with pytest.raises(Refusal, match="already holds other files"):
        prepare("drum", one, tmp_path / "mine")
    with pytest.raises(Refusal, match="is a file"):
        prepare("drum", one, tmp_path / "mine/letter.txt")


def test_two_runs_at_once_do_not_mix(tmp_path):
    import fcntl

    source = kits(tmp_path / "src")
    (tmp_path / "out/.work").mkdir(parents=True)
    with open(tmp_path / "out/.work/lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refusal, match="another run is writing"):
            prepare("drum", source, tmp_path / "out")
    prepare("drum", source, tmp_path / "out")


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    source = kits(tmp_path / "src")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refusal, match="cannot write"):
        prepare("drum", source, tmp_path / "file/out")


def test_a_disk_that_fills_up_is_told_and_the_run_continues_later(tmp_path):
    source = kits(tmp_path / "src", kits=4)
    wanted = prepare("drum", source, tmp_path / "whole").manifest["hash"]

    def small_files():  # the kernel refuses to let any file grow past this, as a full disk would
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = run("drum", source, tmp_path / "out", preexec_fn=small_files)
    assert done.returncode == 2 and "make room and run the same command again" in last_line(done)
    assert not (tmp_path / "out/manifest.json").exists()
    outcome = prepare("drum", source, tmp_path / "out")
    assert outcome.recalled > 0 and outcome.manifest["hash"] == wanted


def test_a_damaged_data_set_is_not_opened(tmp_path):
    prepare("drum", kits(tmp_path / "src"), tmp_path / "out")
    path = tmp_path / "out/arrays/audio.npy"
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 1
    path.write_bytes(raw)
    ds = DataSet.open(tmp_path / "out")
    with pytest.raises(Refusal, match=r"audio\.npy has changed"):
        ds.verify()
    path.write_bytes(raw[:-400])
    with pytest.raises(Refusal, match=r"audio\.npy"):
        DataSet.open(tmp_path / "out")
    with pytest.raises(Refusal, match="holds no data set"):
        DataSet.open(tmp_path / "src")


def test_splits_filter_and_unknown_ones_are_refused(toy_sets):
    ds = DataSet.open(toy_sets / "rhythm_set")
    every = ds.split("all")
    assert len(every) == len(ds) == sum(len(ds.split(name)) for name in SPLITS)
    for index in ds.split("train", fill=False, meter="4/4"):
        assert not ds.manifest[index]["fill"] and ds.manifest[index]["meter"] == "4/4"
    with pytest.raises(Refusal, match="no split 'dev'"):
        ds.split("dev")


@pytest.mark.parametrize("kind", ["drum", "rhythm", "drive"])
def test_the_report_stands_alone_and_says_what_is_there(toy_sets, kind):
    page = (toy_sets / f"{kind}_set/report.html").read_text()
    report = json.loads((toy_sets / f"{kind}_set/report.json").read_text())
    ds = DataSet.open(toy_sets / f"{kind}_set")
    assert report["hash"] == ds.hash and report["items"] == len(ds)
    check_page(page)
    assert page.count("<svg") >= 3 and "<audio controls" in page
    assert all(one["level"] in ("fix", "look", "fine") and one["text"] for one in report["findings"])
    for one in report["findings"]:
        assert all(str(name) for name in one["files"])


def test_the_report_finds_what_is_wrong(tmp_path):
    source = kits(tmp_path / "src", kits=5)
    write(source / "Kit A/clipped snare.wav", np.clip(6 * hit(200, 0.5), -0.99, 0.99))
    write(source / "Kit A/dc tom.wav", 0.5 * hit(100, 0.5, lead=4410) + 0.2)
    write(source / "Kit B/turned clap.wav", np.stack([hit(900), -hit(900)], 1))
    write(source / "Kit B/late ride.wav", hit(5000, lead=44_100))
    write(source / "Kit C/zzz 11.wav", hit(777, rate_hz=16_000), 16_000)
    prepare("drum", source, tmp_path / "out")
    findings = json.loads((tmp_path / "out/report.json").read_text())["findings"]

    def files(words):
        return next((one["files"] for one in findings if words in one["text"]), None)

    assert files("flat tops") == ["Kit A/clipped snare.wav"]
    assert files("DC offset") == ["Kit A/dc tom.wav"]
    assert files("cancel when mixed") == ["Kit B/turned clap.wav"]
    assert files("silence; it was cut off") == ["Kit B/late ride.wav"]
    assert files("below 44,100 Hz") == ["Kit C/zzz 11.wav"]
    assert files("say nothing of their class") == ["Kit C/zzz 11.wav"]


def test_what_is_suspicious_can_be_heard_beside_what_is_said_of_it(tmp_path):
    source = kits(tmp_path / "src", kits=5)
    write(source / "Kit A/clipped snare.wav", np.clip(6 * hit(200, 0.5), -0.99, 0.99))
    write(source / "Kit A/dc tom.wav", 0.5 * hit(100, 0.5, lead=4410) + 0.2)
    prepare("drum", source, tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    check_page(page)
    finding = page[page.index("flat tops") :]
    finding = finding[: finding.index("<details")]
    assert 'aria-label="Kit A/clipped snare.wav"' in finding and "data:audio/flac" in finding
    assert 'aria-label="Spectrogram of Kit A/clipped snare.wav"' in finding
    assert 'aria-label="Kit A/dc tom.wav"' not in page  # good to know, not suspicious


def test_devices_with_few_phrases_are_split_by_time_beside_those_with_many(tmp_path):
    """One folder with a synthetic chain of twelve phrases and a pedal recorded over one."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(13):
        dry = rng.uniform(-0.5, 0.5, 48_000)
        pedal = number == 12
        write(tmp_path / "src" / f"p{number}_dry.wav", dry, 48_000)
        write(tmp_path / "src" / f"p{number}_wet.wav", np.tanh(3 * dry), 48_000)
        effect = "pedal" if pedal else "chain"
        rows.append({"dry": f"p{number}_dry.wav", "wet": f"p{number}_wet.wav", "effect": effect})
    (tmp_path / "src" / "manifest.json").write_text(json.dumps(rows))
    outcome = prepare("drive", tmp_path / "src", tmp_path / "set")
    items = outcome.manifest["items"]
    pedal = [item for item in items if item["effect"] == "pedal"]
    assert [(item["split"], item["continues"]) for item in pedal] == [
        ("train", False),
        ("validation", True),
        ("test", True),
    ]
    chain = [item for item in items if item["effect"] == "chain"]
    assert len(chain) == 12 and {item["split"] for item in chain} == {"train", "validation", "test"}
    assert outcome.manifest["notes"]["split_by"] == "phrase and time"
    assert "Devices with few phrases" in (tmp_path / "set" / "report.html").read_text()
