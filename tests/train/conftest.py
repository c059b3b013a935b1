"""Small data sets and small recipes that several tests share."""

import numpy as np
import pytest

from train.data.prepare import prepare
from train.data.store import DataSet


@pytest.fixture(scope="session")
def rhythms(tmp_path_factory):
    from toy.make import make_rhythms

    folder = tmp_path_factory.mktemp("rhythms")
    make_rhythms(folder / "toy", items=64, seed=0)
    prepare("rhythm", folder / "toy", folder / "set")
    return DataSet.open(folder / "set")


@pytest.fixture
def with_nan(rhythms):
    """The rhythms with one bad number in the training split."""

    class Spoiled(DataSet):
        """One NaN."""

        def pattern(self, index: int) -> np.ndarray:
            grid = super().pattern(index)
            if index == self.split("train")[0]:
                grid[9, 0] = np.nan
            return grid

    return Spoiled(rhythms.directory, rhythms.head, rhythms.arrays)


@pytest.fixture(scope="session")
def drives(tmp_path_factory):
    from toy.make import make_drive

    folder = tmp_path_factory.mktemp("drives")
    make_drive(folder / "toy", items=48, seed=0, seconds=0.8, chain_files=[])
    prepare("drive", folder / "toy", folder / "set")
    return DataSet.open(folder / "set")
