"""The promises of the house itself: who may import whom, and what stays cheap to load."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import typer.main

from firmware.instruments import kinds
from tests.imports import imported_names, python_files, within_folders

pytestmark = pytest.mark.fast
ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("common", "toy", "train", "quantize", "firmware", "bench", "hardware", "match", "captures")
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")
# docs/design.md#rooms. A tuple entry allows that package (and what is below it).
ALLOWED = {
    "common": (),
    "toy": (),
    "captures": (),
    "hardware": (),
    "train": ("firmware.compiler",),
    "quantize": ("train", "firmware.compiler"),
    "firmware": ("hardware",),
    "bench": ("firmware", "hardware"),
    "match": ("train", "quantize", "hardware"),
}
HEAVY = ("torch", "librosa", "onnxruntime", "lightning", "onnx", "matplotlib", "scipy")


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, read once for all tests."""
    return ast.parse(path.read_text(), str(path))


def imported_modules(path: Path) -> list[str]:
    """Every absolute module name that a file imports, at any depth of the file."""
    return list(imported_names(parsed(path)))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room):
    for path in (ROOT / room).rglob("*.py"):
        for name in imported_modules(path):
            other = name.split(".")[0]
            if other in ROOMS and other not in (room, "common"):
                assert any(name == ok or name.startswith(ok + ".") for ok in ALLOWED[room]), (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("room", ["firmware", "hardware"])
def test_the_device_side_never_imports_torch(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not any(name.split(".")[0] in ("torch", "lightning") for name in imported_modules(path)), path


@pytest.mark.parametrize(
    "statement", [f"import {room}" for room in ROOMS] + ["import vaectrol; vaectrol.build_app()"]
)
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package_and_of_the_changelog():
    out = subprocess.run(
        [sys.executable, "vaectrol.py", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    version = importlib.metadata.version("vaectrol")
    assert (out.returncode, out.stdout) == (0, f"vaectrol {version}\n")
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_help_lists_the_commands():
    out = subprocess.run([sys.executable, "vaectrol.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0
    assert "Eurorack" in out.stdout


def modules() -> dict[str, Path]:
    """Every module of ours that is not a test, by its dotted name."""
    found = {}
    for path in [*ROOT.glob("*.py"), *(file for room in PACKAGES for file in (ROOT / room).rglob("*.py"))]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def test_no_circle_of_imports():
    """Any import counts, also one inside a function: who needs that has put something in the wrong file."""
    known = modules()
    imports = {}
    for name, path in known.items():
        wanted = set()
        for other in imported_modules(path):
            wanted.add(other if other in known else other.rpartition(".")[0])
        imports[name] = {other for other in wanted if other in known and other != name}
    while leaves := [name for name, wanted in imports.items() if not wanted & imports.keys()]:
        for name in leaves:
            del imports[name]
    tangled = {name: sorted(wanted & imports.keys()) for name, wanted in imports.items()}
    assert not tangled, f"these import each other, or lead to some that do: {tangled}"


@pytest.mark.parametrize("room", PACKAGES)
def test_no_folder_is_a_corridor(room):
    for folder in {path.parent for path in (ROOT / room).rglob("*.py")}:
        files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 15, f"{folder.relative_to(ROOT)} has {len(files)} Python files; divide it"


MOST_A_FILE = 2.5  # imports of neighbours; quantize/ had 4.7 as one flat folder
MOST_TOGETHER = {
    ("quantize", "quantize/data", "quantize/formats", "quantize/graph", "quantize/integers", "quantize/prune",
     "quantize/report"): 44,
    ("firmware", "firmware/instruments", "firmware/play"): 23,
}  # fmt: skip


def test_files_of_a_folder_know_few_of_each_other():
    """docs/decisions/019-files-of-one-folder.md; `python -m tests.imports` prints the counts."""
    files = Counter(path.parent.as_posix() for path in python_files(ROOT))
    counts = within_folders()
    assert not {folder: count for folder, count in counts.items() if count > MOST_A_FILE * files[folder]}
    for folders, most in MOST_TOGETHER.items():
        assert sum(counts[folder] for folder in folders) <= most, {
            folder: counts[folder] for folder in folders
        }


def test_imports_between_files_of_a_folder_are_seen(tmp_path):
    (tmp_path / "room" / "inner").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "a": "import room.b",
        "b": "def f():\n    from room import c",
        "c": "from room.inner.d import x\nfrom room.b import y, z",
        "inner/d": "from room.a import x",
    }.items():
        (tmp_path / "room" / f"{name}.py").write_text(text)
    assert within_folders(tmp_path) == {"room": 3, "room/inner": 0}


def test_no_decision_is_taken_by_the_words_of_an_error():
    """What callers tell apart is a type (`common.refusal`); words are for people."""
    said = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        if not {"tests", ".venv", "build"} & set(path.relative_to(ROOT).parts)
        for line in words_of_errors(parsed(path))
    }
    assert not said, "\n".join(sorted(said))


def words_of_errors(tree: ast.AST) -> set[int]:
    """Lines on which the text of a caught exception is searched or compared."""
    found = set()
    for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name):
        for node in ast.walk(handler):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                searches = node.func.attr in ("startswith", "endswith", "match", "search", "fullmatch")
                parts = [node.func.value, *node.args] if searches else []
            if any(_is_text_of(part, handler.name) for part in parts):
                found.add(node.lineno)
    return found


def _is_text_of(node: ast.AST, error: str) -> bool:
    """``str(error)``, ``repr(error)`` or something made from them, such as ``str(error).lower()``."""
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Name)
        and part.func.id in ("str", "repr")
        and any(isinstance(arg, ast.Name) and arg.id == error for arg in part.args)
        for part in ast.walk(node)
    )


def test_words_of_errors_are_seen():
    for use in (
        '"x" in str(why)',
        'str(why).startswith("x")',
        're.search("x", str(why))',
        'repr(why) == "x"',
    ):
        assert words_of_errors(ast.parse(f"try:\n    f()\nexcept E as why:\n    g({use})")) == {4}, use
    assert not words_of_errors(ast.parse("try:\n    f()\nexcept E as why:\n    g(str(why))"))


def holds_reports(path: Path) -> bool:
    """Whether a file is about a report: by its own name, or below a folder of reports or judges."""
    *folders, name = path.relative_to(ROOT).parts
    return "report" in name or bool({"report", "judges"} & set(folders))


def test_no_report_is_a_dictionary_of_anything():
    """Whoever writes or shows a report spells its keys by a type (TypedDict or dataclass).

    Covered: every module whose file name contains "report", or that lies in a folder called ``report`` or
    ``judges``. Not covered: what other modules hand to those, but for the annotation on this side.
    """
    files = [path for path in modules().values() if holds_reports(path)]
    assert len(files) > 30
    loose = re.compile(r"\b[dD]ict\[str, (Any|object)\]|\bMapping\[str, Any\]|\breport: Any\b")
    said = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if loose.search(line)
    ]
    assert not said, "\n".join(said)


def named_kinds(path: Path) -> list[tuple[int, str]]:
    """Where a Python file says a kind's name: as a string of its own, or as a name it defines or uses."""
    said = {
        spelling
        for kind in kinds.names()
        for spelling in (kind, f"{kind}s", kind.upper(), f"{kind.upper()}S", f"_{kind}", f"_{kind}s")
    }
    found = []
    for node in ast.walk(parsed(path)):
        words = {
            ast.Constant: lambda n: [n.value] if isinstance(n.value, str) else [],
            ast.Name: lambda n: [n.id],
            ast.Attribute: lambda n: [n.attr],
            ast.FunctionDef: lambda n: [n.name],
            ast.arg: lambda n: [n.arg],
            ast.keyword: lambda n: [n.arg],
            ast.alias: lambda n: n.name.split("."),
            ast.ImportFrom: lambda n: (n.module or "").split("."),
        }.get(type(node), lambda n: [])(node)
        found += [(getattr(node, "lineno", 0), word) for word in words if word in said]
    return found


def test_no_other_file_names_an_instrument_kind():
    """What is said of a kind is said in its file (``firmware/instruments/kinds``)."""
    rooms = ("common", "firmware", "bench", "hardware", "workflow")
    files = [*(path for room in rooms for path in (ROOT / room).rglob("*.py")), *ROOT.glob("*.py")]
    said = {
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in files
        if kinds.FOLDER not in path.parents and not path.name.startswith("test_")
        for line, word in named_kinds(path)
    }
    assert not said, "\n".join(sorted(said))


def test_help_has_every_command_in_one_group_along_the_workflow():
    import vaectrol

    app = vaectrol.build_app()
    named = [name for names in vaectrol.GROUPS.values() for name in names]
    there = typer.main.get_command(app).list_commands(None)  # type: ignore[attr-defined]
    assert there == named
    out = subprocess.run([sys.executable, "vaectrol.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    at = [out.stdout.index(f" {group} ") for group in vaectrol.GROUPS]
    assert at == sorted(at)
    assert "--install-completion" in out.stdout


def test_no_function_has_more_than_ten_parameters():
    """Commands of the command line apart: their parameters are what a user can say."""
    for name, path in modules().items():
        if path.name == "commands.py":
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = len(node.args.args) + len(node.args.kwonlyargs)
                assert count <= 10, f"{name}.{node.name} has {count} parameters; group them in a dataclass"
