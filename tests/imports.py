"""Count imports between files of the same folder: ``python -m tests.imports [FOLDER]``.

Files that import their neighbours are read together; an import of another folder joins two ideas, and the
import rules of the rooms hold those. Counted are distinct pairs (file, file), wherever in
the file the import stands, ``if TYPE_CHECKING`` included. Before the rooms were divided, `quantize/` had 178
and `firmware/` 32 (and 9 more from below it); see docs/decisions/019-files-of-one-folder.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_CODE_OF_OURS = {"tests", "build", "demo", "runs", "node_modules"}


def python_files(root: Path) -> list[Path]:
    """Every Python file below a folder, relative to it, without tests and hidden folders."""
    found = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") or part in NO_CODE_OF_OURS for part in path.parts)
    )


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every absolute dotted name that is imported, at any depth of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def pairs(root: Path) -> set[tuple[Path, Path]]:
    """Give who imports whom, file by file."""
    files = python_files(root)
    of_name = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    found = set()
    for path in files:
        for name in imported_names(ast.parse((root / path).read_text(encoding="utf-8"))):
            other = of_name.get(name) or of_name.get(name.rpartition(".")[0])
            if other is not None and other != path:
                found.add((path, other))
    return found


def within_folders(root: Path = ROOT) -> dict[str, int]:
    """Folder → imports between its own files; those below it count for themselves."""
    counts = {path.parent.as_posix(): 0 for path in python_files(root)}
    for importer, imported in pairs(root):
        if importer.parent == imported.parent:
            counts[importer.parent.as_posix()] += 1
    return counts


def main() -> None:
    """Print a line for each folder, and the sum for each room."""
    counts = within_folders(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for room in sorted({folder.split("/")[0] for folder in counts} - {"."}):
        own = {folder: count for folder, count in counts.items() if folder.split("/")[0] == room}
        print(f"{room:34} {sum(own.values()):4}")
        for folder, count in sorted(own.items()):
            print(f"    {folder:30} {count:4}")


if __name__ == "__main__":
    main()
