"""`make release`: what it makes, in which order, and that its checksums hold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from common.refusal import Refusal
from workflow import release
from workflow.release import MARK, checksums, stages_of

pytestmark = pytest.mark.fast


def test_every_instrument_comes_in_every_form(tmp_path):
    out, work = tmp_path / "dist", tmp_path / "work"
    stages = list(stages_of(out, work, ["drum", "rhythm"], with_plugins=True))
    commands = [stage.argv for stage in stages]
    for name in ("drum", "rhythm"):
        assert (
            "build",
            name,
            "--board",
            "disting_nt",
            "-o",
            str(out / "disting_nt" / f"{name}.o"),
        ) in commands
        for board in release.PI_BOARDS:
            assert ("build", name, "--board", board, "-o", str(work / f"{name}-{board}")) in commands
        for form in release.PLUGIN_FORMS:
            assert ("plugin", name, "--format", form, "-o", str(out / "plugins")) in commands
    assert ("web", "-o", str(out / "pages")) in commands
    assert len({stage.name for stage in stages}) == len(stages)
    without = [stage.argv for stage in stages_of(out, work, ["drum"], with_plugins=False)]
    assert not any(argv[0] == "plugin" for argv in without)


def test_checksums_are_those_of_sha256sum(tmp_path):
    for name in ("a.o", "pages/b.html", "deep/er/c"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / MARK).write_text(checksums(tmp_path))
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("sha256sum is not installed")
    done = subprocess.run([tool, "-c", MARK], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count("OK") == 3
    (tmp_path / "a.o").write_text("other")
    assert subprocess.run([tool, "-c", MARK], cwd=tmp_path, capture_output=True, check=False).returncode == 1


def made(stages, folder, after=lambda stage: None):
    """Stages that write what they say they make."""
    for stage in stages:
        for path in stage.makes:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name == "plugins":
                path.mkdir(exist_ok=True)
            else:
                path.write_text(stage.name)


def test_a_release_holds_what_was_made_and_the_pages_that_explain_it(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "run_stages", made)
    monkeypatch.setattr(release, "has_command", lambda name: False)
    out = release.release(tmp_path / "dist", ["drum"])
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    expected = {
        "disting_nt/drum.o",
        "raspberry_pi/drum-rpi4",
        "raspberry_pi/drum-rpi5",
        "panels/rpi.dxf",
        "LICENSE",
    }
    assert expected | {"manuals/disting-nt.md", "VERSION", MARK} <= files
    listed = {line.split("  ")[1] for line in (out / MARK).read_text().splitlines()}
    assert listed == files - {MARK}
    (out / "old").write_text("of the release before")
    release.release(out, ["drum"])
    assert not (out / "old").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Refusal, match="holds something else already"):
        release.release(tmp_path, ["drum"])
    assert [path.name for path in Path(tmp_path).iterdir()] == ["precious"]
