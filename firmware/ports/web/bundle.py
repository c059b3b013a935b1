"""The page's ES modules in one script, in the order in which they need each other; nothing else changes.

A page that opens from a file can't import its modules. Each becomes a function that is called once and
returns what it exports, so that no name of one is seen by another.
"""

from __future__ import annotations

import re
from pathlib import Path

IMPORT = re.compile(r'^import \{([^}]+)\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def bundle(entry: Path) -> str:
    """Write a module and all it imports as one script.

    Parameters
    ----------
    entry : Path
        Its imports lie beside it, and each is written ``import {a, b} from "./name.js";``.
    """
    done: list[str] = []
    parts: list[str] = []

    def add(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        for _, name in IMPORT.findall(text):
            if name not in done:
                done.append(name)
                add(path.with_name(f"{name}.js"))
        shown = ", ".join(name for _, name in EXPORT.findall(text))
        body = IMPORT.sub(lambda found: f"const {{{found[1]}}} = module_{found[2]};\n", text)
        body = EXPORT.sub(r"\1", body)
        parts.append(f"const module_{path.stem} = (() => {{\n{body}return {{{shown}}};\n}})();\n")

    add(entry)
    return "".join(parts)
