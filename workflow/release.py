"""`make release`: all that can be used without having Vaectrol, in one folder with checksums.

    python -m workflow.release -o dist

Plug-ins for the disting NT, pages for a browser, plugins for a studio, programs for a Raspberry Pi,
panels to cut, and the pages that say how each is used. A Daisy's images need the builder's own libDaisy,
so they are not here.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.files import write_text
from common.outputs import check_folder
from common.refusal import Refusal
from common.version import version
from workflow.stages import PROGRAM, Stage, run_stages

MARK = "SHA256SUMS"
"""Checksums of all files; also what says that a folder is a release, which may be written again."""
PI_BOARDS = ("rpi4", "rpi5")
PANELS = ("patch_sm", "rpi")
PLUGIN_FORMS = ("clap", "pd")
MANUALS = (
    "disting-nt",
    "first-measurements",
    "browser",
    "plugins",
    "raspberry-pi",
    "boards",
    "calibration",
    "instruments",
)
"""Pages of docs/manuals that go along, as far as they exist."""


def stages_of(out: Path, work: Path, instruments: Iterable[str], with_plugins: bool) -> Iterator[Stage]:
    """Every command of a release, in the order of what is quickest to use."""
    for name in instruments:
        yield _build(name, "disting_nt", out / "disting_nt" / f"{name}.o", takes_s=20)
    yield Stage(
        "pages",
        "pages for a browser",
        ("web", "-o", str(out / "pages")),
        (),
        (out / "pages" / "index.html",),
        takes_s=90,
    )
    for name in instruments:
        for board in PI_BOARDS:
            folder = work / f"{name}-{board}"
            yield _build(name, board, folder, takes_s=20, made=folder / f"{name}-{board}")
    if with_plugins:
        for form in PLUGIN_FORMS:
            for name in instruments:
                argv: tuple[str, ...] = ("plugin", name, "--format", form, "-o", str(out / "plugins"))
                yield Stage(f"{name} {form}", f"{name} as {form}", argv, (), (out / "plugins",), takes_s=60)
    for name in PANELS:
        argv = ("board", "panel", name, "-o", str(out / "panels"))
        made = out / "panels" / f"{name}.dxf"
        yield Stage(f"panel {name}", f"panel of the {name}", argv, (), (made,), takes_s=3)


def _build(name: str, board: str, out: Path, takes_s: float, made: Path | None = None) -> Stage:
    argv = ("build", name, "--board", board, "-o", str(out))
    return Stage(f"{name} {board}", f"{name} for a {board}", argv, (), (made or out,), takes_s=takes_s)


def has_command(name: str) -> bool:
    """Whether this version has a command."""
    asked = subprocess.run([sys.executable, str(PROGRAM), name, "--help"], capture_output=True, check=False)
    return asked.returncode == 0


def checksums(folder: Path) -> str:
    """Return a line for every file, as ``sha256sum -c`` reads it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARK)
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}" for path in files)
    return "\n".join(lines) + "\n"


def release(out: Path, instruments: Iterable[str]) -> Path:
    """Fill `out` with a release.

    Raises
    ------
    Refusal
        A folder that holds something else, or a stage that ends badly.
    """
    check_folder(out, ours=MARK)
    names = list(instruments)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    write_text(out / MARK, "")  # ours from here on, even if it is cut short
    with tempfile.TemporaryDirectory(prefix="vaectrol-release-") as folder:
        work = Path(folder)
        run_stages(list(stages_of(out, work, names, has_command("plugin"))), work)
        for name in names:
            for board in PI_BOARDS:
                place = out / "raspberry_pi" / f"{name}-{board}"
                place.parent.mkdir(exist_ok=True)
                shutil.copy(work / f"{name}-{board}" / f"{name}-{board}", place)
    manuals = Path(__file__).parents[1] / "docs" / "manuals"
    (out / "manuals").mkdir()
    for name in MANUALS:
        if (manuals / f"{name}.md").is_file():
            shutil.copy(manuals / f"{name}.md", out / "manuals")
    shutil.copy(Path(__file__).parents[1] / "LICENSE", out / "LICENSE")
    write_text(out / "VERSION", f"{version()}\n")
    write_text(out / MARK, checksums(out))
    return out


def main() -> int:
    """Run from the command line."""
    from firmware.instruments.spec import available_instruments

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("dist"))
    parser.add_argument("instrument", nargs="*", help="names; by default every one that ships")
    options = parser.parse_args()
    try:
        made = release(options.out, options.instrument or available_instruments())
    except Refusal as refusal:
        print(f"vaectrol: {refusal}", file=sys.stderr)
        return refusal.exit_status
    files = [path for path in made.rglob("*") if path.is_file()]
    print(
        f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {made}; "
        f"check them there: sha256sum -c {MARK}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
