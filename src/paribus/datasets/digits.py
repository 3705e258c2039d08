"""The 1,797 handwritten digits that ship inside scikit-learn: real, offline, seconds."""

from __future__ import annotations

import numpy as np
import torch

from paribus.datasets.files import in_scikit_learn
from paribus.datasets.source import RawData
from paribus.datasets.stratify import stratified


class Digits:
    """8 x 8 grey-level digits with values 0 to 16; 1,437 for training and validation, 360 for the test.

    scikit-learn offers no split of its own; ours is stratified and fixed for good by `TEST_SEED`.

    Source: Alpaydin & Kaynak 1998, UCI Optical Recognition of Handwritten Digits (its test part).
    """

    TEST_SEED = 1998
    TEST_SIZE = 360
    name = "digits"
    shape = (1, 8, 8)
    num_classes = 10

    def load(self) -> RawData:
        table = np.loadtxt(in_scikit_learn("digits.csv.gz"), dtype=np.float32, delimiter=",")
        x = torch.from_numpy(table[:, :64]).to(torch.uint8).reshape(-1, 1, 8, 8)
        y = torch.from_numpy(table[:, 64]).long()
        rest, test = stratified(y, self.TEST_SIZE, self.TEST_SEED)
        return RawData(x[rest], y[rest], x[test], y[test])
