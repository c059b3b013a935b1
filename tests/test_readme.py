"""What the pages say can be typed: what the root's page, each room's Run it and the peers' page show is run.

The commands of a walk run in order, in one folder, on tiny inputs. How each is made small stands in `HOW`; a
command that is not there fails, so that nobody can add one that was never run. All other pages' commands
and options exist.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import vaectrol
from tests.captures import made
from tests.prose import pages
from tests.readme_commands import commands_of, first_command_of, words_of
from tests.test_workflow import TINY

ROOT = Path(__file__).resolve().parents[1]
PAGES = pages()
READMES = [page for page in PAGES if page.name == "README.md"]


@dataclass(frozen=True)
class Run:
    """Run it here.

    Attributes
    ----------
    swap : word of the README → word of ours.
    more : words added at the end, which make it short.
    makes : files that must be there afterwards.
    once : what it makes, where a second walk takes it from the first that ran the same words on equal sounds.
    """

    swap: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    once: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """Run by another test, which must exist and hold `text`."""

    file: str
    test: str
    text: str


# By the first words of a command; the longest that fits counts.
HOW: dict[str, Run | Elsewhere] = {
    "make demo": Elsewhere("test_readme.py", "test_make_runs_what_the_readme_says", "demo"),
    "make test": Elsewhere("test_readme.py", "test_make_runs_what_the_readme_says", "test"),
    "vaectrol toy drum": Run(more=("--items", "48"), makes=("toy/manifest.json",)),
    "vaectrol data prepare drum ~/Samples/kits": Run(
        {"~/Samples/kits": "sounds"}, makes=("data/manifest.json",)
    ),
    "vaectrol data prepare drum toy": Run(makes=("data/manifest.json",)),
    "vaectrol train drum": Run({"drum": "tiny.toml"}, makes=("run/card.json",), once="run"),
    "vaectrol train drum_quick": Run({"drum_quick": "tiny.toml"}, makes=("run/card.json",), once="run"),
    "vaectrol match firmware/models/drum.int8.onnx": Run(
        {"kick.wav": "toy/kick/kick_0000_0.wav", "snare.wav": "toy/snare/snare_0001_0.wav"},
        ("--steps", "2", "--class", "snare"),
        makes=("matched/match.html",),
    ),
    "vaectrol import capture.nam": Run(makes=("capture.onnx",)),
    "vaectrol evaluate run": Run(more=("--limit", "4"), makes=("judged/report.json",)),
    "vaectrol quantize run": Run({"--quick": "--no-quick"}, ("--time", "0.02"), makes=("kit.int8.onnx",)),
    "vaectrol compile kit.int8.onnx": Run(makes=("c/kit.c", "c/kit.h", "c/report.json")),
    "vaectrol play drum --demo --model": Run(makes=("kit.wav", "kit.png")),
    "vaectrol play drum --demo": Run(more=("--seconds", "2"), makes=("drum.wav", "drum.png")),
    "vaectrol web drum": Run(makes=("drum.html",)),
    "vaectrol plugin drum": Run(more=("--system", "linux"), makes=("plugins/linux/drum.clap",)),
    "vaectrol play groove": Run(more=("--seconds", "2"), makes=("groove.wav", "groove.png")),
    "vaectrol emulate drum": Run(more=("--seconds", "0.3", "--callbacks", "20")),
    "vaectrol bench firmware/models/rhythm.int8.onnx": Run(more=("--quick",)),
    "vaectrol bench kit.int8.onnx": Run(makes=("report/report.html",)),
    "vaectrol bench firmware/models/drum.int8.onnx": Run(more=("--quick",)),
    "vaectrol bench MODEL": Elsewhere("bench/test_report.py", "test_on_a_board_without", "--live"),
    "vaectrol bench nano": Run(more=("--quick",)),
    "vaectrol bench raspberry": Run(more=("--quick",)),
    "vaectrol make": Elsewhere("test_workflow.py", "test_make_on_the_same_sounds", '"make"'),
    "vaectrol build drum": Run(more=("--objects-only",)),
    "vaectrol board list": Run(),
    "vaectrol simulate drum": Run(more=("--seconds", "0.5")),
    "python -m bench.kernels": Run(),
    "python -c": Run(),
}  # fmt: skip


def how(command: str) -> Run | Elsewhere | None:
    """Find the longest entry of `HOW` that `command` begins with."""
    fitting = [start for start in HOW if f"{command} ".startswith(f"{start} ")]
    return HOW[max(fitting, key=len)] if fitting else None


def group() -> Any:
    """The command line as typer knows it."""
    return vaectrol.command()


def resolved(words: list[str]) -> tuple[Any, list[str]] | None:
    """The command that `words` name, and the words after it; None where there is no such command."""
    at = group()
    left = words[1:]
    while hasattr(at, "commands") and left and not left[0].startswith("-"):
        names = at.list_commands(None) if left[0].isupper() else left[0].split("|")
        inner = [at.get_command(None, name) for name in names]
        if not all(inner):
            return None
        at, left = inner[0], left[1:]
    return at, left


def typed(program: str, words: list[str]) -> int:
    """Exit status of a command: ours in this process, so that torch is loaded once; python as it is."""
    if program == "vaectrol":
        return vaectrol.main(words)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], env=environment, check=False).returncode


def is_a_name(command: str) -> bool:
    """Whether the page only names a command, without words after it."""
    found = resolved(words_of(command))
    return command.startswith("vaectrol ") and found is not None and not found[1]


WORKSHOP = (
    "toy",
    "train/data",
    "train",
    "train/hearing",
    "quantize",
    "firmware/compiler",
    "firmware",
    "firmware/instruments",
)
OTHER_ROOMS = (
    "common",
    "firmware/engine",
    "firmware/ports",
    "bench",
    "hardware",
    "match",
    "captures",
    "workflow",
)
WALKS: dict[str, list[str]] = {
    "README.md": commands_of(ROOT / "README.md"),
    "rooms": [first_command_of(ROOT / room / "README.md") for room in (*WORKSHOP, *OTHER_ROOMS)],
    "docs/peers.md": commands_of(ROOT / "docs" / "peers.md"),
}
UNHURRIED = ("docs/peers.md",)
"""Walks that `make test` leaves out: tests of the bench and of emulation run the same commands shorter."""
WALKED = [(walk, command) for walk, commands in WALKS.items() for command in commands]


@dataclass
class Walked:
    """What running a walk gave: exit status per command, and the folder."""

    folder: Path
    status: dict[str, int]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Walked]:
    """Run a walk when it is first asked for, in a folder that looks like the root of the repository."""
    import torch

    torch.set_num_threads(1)
    done: dict[tuple[str, ...], Path] = {}
    return cache(lambda walk: walk_through(WALKS[walk], tmp_path_factory.mktemp("walk"), done))


def walk_through(commands: list[str], folder: Path, done: dict[tuple[str, ...], Path]) -> Walked:
    """Run `commands` in `folder`, where the firmware lies too; what is made once may be `done` elsewhere."""
    (folder / "firmware").symlink_to(ROOT / "firmware")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "capture.nam").write_text(json.dumps(made.NAM["A1"]))
    status: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if any("sounds" in words for words in map(shortened, commands)):
            assert vaectrol.main(["toy", "drum", "sounds", "--items", "48"]) == 0
        for command in commands:
            if not (words := shortened(command)):
                continue
            once = how(command).once
            if once and (before := done.get(tuple(words))):
                shutil.copytree(before / once, folder / once)
                status[command] = 0
                continue
            status[command] = typed(command.split()[0], words)
            if once and status[command] == 0:
                done[tuple(words)] = folder
    return Walked(folder, status)


def shortened(command: str) -> list[str]:
    """The words of a command that is run here, without the program's name; none of others."""
    entry = how(command)
    if not isinstance(entry, Run) or is_a_name(command):
        return []
    return [*(entry.swap.get(word, word) for word in words_of(command)[1:]), *entry.more]


def test_the_pages_are_found_and_have_commands():
    folders = {str(path.parent.relative_to(ROOT)) for path in READMES}
    rooms = {folder for folder in folders if folder.split("/")[0] not in (".", "docs", "examples")}
    assert rooms == {*WORKSHOP, *OTHER_ROOMS}
    assert len(WALKS["README.md"]) >= 9
    assert sum(len(commands_of(path)) for path in PAGES) >= 90


@pytest.mark.parametrize(
    ("walk", "command"),
    [
        pytest.param(walk, command, marks=pytest.mark.slow if walk in UNHURRIED else ())
        for walk, command in WALKED
    ],
    ids=[f"{walk}: {command}" for walk, command in WALKED],
)
def test_every_command_of_a_walk_works(walk, command, walked):
    if command == "vaectrol COMMAND --help" or is_a_name(command):
        return  # the next two tests
    entry = how(command)
    assert entry is not None, f"{walk} shows `{command}`: say in tests/test_readme.py HOW it is run"
    if isinstance(entry, Elsewhere):
        source = (ROOT / "tests" / entry.file).read_text()
        assert re.search(rf"^def {entry.test}\w*\(", source, re.MULTILINE), entry
        assert entry.text in source
        return
    assert walked(walk).status[command] == 0
    for file in entry.makes:
        assert (walked(walk).folder / file).is_file(), file


def test_help_of_every_command_has_an_example(capsys):
    def leaves(at: Any, path: tuple[str, ...]):
        if hasattr(at, "commands"):
            for name in at.list_commands(None):
                yield from leaves(at.get_command(None, name), (*path, name))
        else:
            yield path

    for path in leaves(group(), ()):
        assert vaectrol.main([*path, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert f"Example: vaectrol {' '.join(path)}" in said, path


SHOWN = [
    pytest.param(path, command, id=f"{path.relative_to(ROOT)}: {command}")
    for path in PAGES
    for line in commands_of(path)
    for command in re.split(r"; (?=vaectrol )", line)  # of a card: one after the other
]


@pytest.mark.parametrize(("page", "command"), [p for p in SHOWN if p.values[1].startswith("vaectrol ")])
def test_every_page_shows_commands_and_options_that_exist(page, command):
    words = words_of(command)
    if words[1] == "COMMAND":
        return
    found = resolved(words)
    assert found is not None, f"{page.relative_to(ROOT)}: there is no command `{command}`"
    known = {
        option for parameter in found[0].params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known.add("--help")
    for word in found[1]:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in known, f"{page.relative_to(ROOT)}: `{command}` has no {word}"


@pytest.mark.parametrize(("page", "command"), [p for p in SHOWN if p.values[1].startswith("python ")])
def test_every_python_line_names_what_is_there(page, command):
    words = words_of(command)
    if words[1] == "-m" and words[2] == "pytest":
        places = [word for word in words[3:] if word.startswith("tests")]
        assert all((ROOT / place).exists() for place in places), command
        assert places or words[3:] == ["-m", "slow"], command
    elif words[1] == "-m":
        assert (ROOT / Path(*words[2].split("."))).with_suffix(".py").is_file(), command
    elif words[1] == "-c":
        compile(words[2], command, "exec")
    else:
        assert (ROOT / words[1]).is_file(), command


MAKEFILE = (ROOT / "Makefile").read_text()
OTHERS_MAKE = {"make program-boot": "libDaisy"}


@pytest.mark.parametrize(("page", "command"), [p for p in SHOWN if p.values[1].startswith("make ")])
def test_every_make_target_exists(page, command):
    if command in OTHERS_MAKE:
        assert OTHERS_MAKE[command] in page.read_text()
        return
    assert re.search(rf"^{re.escape(command.split()[1])}:", MAKEFILE, re.MULTILINE), command


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        ("demo", ["vaectrol demo -o demo"]),
        ("test", ["python -m pytest", '-m "not slow"']),
        ("lint", ["ruff format --check .", "ruff check .", "mypy"]),
        ("bench", ["vaectrol bench-all -o bench/results"]),
    ],
)
def test_make_runs_what_the_readme_says(target, runs):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    for words in runs:
        assert words in done.stdout
    for line in re.findall(r"bin/(vaectrol .*)", done.stdout):
        found = resolved(line.split())
        assert found is not None, line
