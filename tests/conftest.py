"""What holds for every test, and what tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# no test may fail because the machine is busy
settings.register_profile("vaectrol", deadline=None)
settings.load_profile("vaectrol")

ROOT = Path(__file__).parent
LONGEST = ("test_workflow.py", "test_readme.py", "quantize/test_nn_tilde.py", "firmware/test_port_clap.py")
"""Files that take a core for minutes: they begin first, so that no core waits for them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; `make test` hands files to the workers in this order."""
    first = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))


@pytest.fixture(scope="session")
def drums(tmp_path_factory):
    """A small data set of toy drums."""
    from toy.make import make_drums
    from train.data.prepare import prepare
    from train.data.store import DataSet

    folder = tmp_path_factory.mktemp("drums")
    make_drums(folder / "toy", items=64, seed=0)
    prepare("drum", folder / "toy", folder / "set")
    return DataSet.open(folder / "set")
