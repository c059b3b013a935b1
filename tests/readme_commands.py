"""Find the commands that a README shows: lines of its code blocks, and spans between backticks."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

PROGRAMS = ("vaectrol", "make", "python")
# what stands for something else, or for nothing, in a line that explains more than it is typed
LEFT_OUT = {"…", "...", "·"}


def code_of(text: str) -> list[str]:
    """Lines of fenced and indented blocks, then spans between backticks, without comments."""
    lines: list[str] = []
    rest: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(line)
        else:
            rest.append(line)
    spans = re.findall(r"`([^`]+)`", "\n".join(rest))
    return [code.strip() for code in [*lines, *(" ".join(span.split()) for span in spans)]]


def commands_of(readme: Path) -> list[str]:
    """Every command of ours that a README shows, in order, each once."""
    found = []
    lines = code_of(readme.read_text(encoding="utf-8"))
    for line in itertools.chain.from_iterable(line.split(" && ") for line in lines):
        line = line.removeprefix("$ ").removeprefix(".venv/bin/")
        words = line.split()
        if len(words) > 1 and words[0] in PROGRAMS:
            found.append(" ".join(line.split(" #")[0].split()))
    return list(dict.fromkeys(found))


def first_command_of(readme: Path) -> str:
    """The command that a room's page shows first under Run it."""
    section = readme.read_text(encoding="utf-8").split("## Run it", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        if line.startswith("    ") and line.split()[0] in PROGRAMS:
            return " ".join(line.split(" #")[0].split())
    raise AssertionError(f"{readme} shows no command under Run it")


def words_of(command: str) -> list[str]:
    """Words of a command as a shell would split it, brackets of optional parts taken off."""
    plain = re.sub(r"\[(.*?)\]", r"\1", command)
    lexer = shlex.shlex(plain, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    lexer.quotes = '"'  # apostrophes are the explanation's
    return [word for word in lexer if word not in LEFT_OUT]
