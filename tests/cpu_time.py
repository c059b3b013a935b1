"""Where the processor's time goes: ``pytest -p tests.cpu_time --cpu-time times.json``, then read the file.

Seconds of CPU, of this process and of those it waited for, by test; workers of xdist add to the same file.
``python -m tests.cpu_time times.json`` prints the sum of each test file, the longest first.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where to."""
    parser.addoption("--cpu-time", type=Path, help="file that gets a line for each test")


def spent_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Write a line for a test, its fixtures included."""
    before = spent_s()
    result = yield
    if out := item.config.getoption("--cpu-time"):
        with out.open("a") as file:
            file.write(json.dumps([item.nodeid, round(spent_s() - before, 3)]) + "\n")
    return result


def main() -> None:
    """Print the sums."""
    sums: Counter[str] = Counter()
    for line in Path(sys.argv[1]).read_text().splitlines():
        test, seconds = json.loads(line)
        sums[test.split("::")[0]] += seconds
    for file, seconds in sums.most_common():
        print(f"{seconds:8.1f}  {file}")
    print(f"{sums.total():8.1f}  in {len(sums)} files")


if __name__ == "__main__":
    main()
