"""Three tables that ship inside scikit-learn: small, real and offline."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from paribus.datasets.files import in_scikit_learn
from paribus.datasets.source import RawData
from paribus.datasets.stratify import randomly, stratified

# scikit-learn offers no split of its own. Ours are drawn by this seed and fixed: a fifth, rounded up, is the test part.
TEST_SEED = 1998


class Wine:
    """13 measurements of 178 wines of 3 growers; 142 for training and validation, 36 for the test, stratified.

    Source: Aeberhard & Forina 1991, UCI Wine.
    """

    name = "wine"
    shape = (13,)
    kind_of_x: Literal["vector"] = "vector"
    kind_of_y: Literal["class"] = "class"
    num_classes = 3

    def load(self) -> RawData:
        return _classes("wine_data.csv", 36)


class BreastCancer:
    """30 measurements of 569 tumours, malignant (0) or benign (1); 455 and 114, stratified.

    Source: Wolberg, Mangasarian, Street & Street 1993, UCI Breast Cancer Wisconsin (Diagnostic).
    """

    name = "breast_cancer"
    shape = (30,)
    kind_of_x: Literal["vector"] = "vector"
    kind_of_y: Literal["class"] = "class"
    num_classes = 2

    def load(self) -> RawData:
        return _classes("breast_cancer.csv", 114)


class Diabetes:
    """10 measurements of 442 patients, and the progression of their disease a year later, from 25 to 346; 353 and 89.

    The features are those of the file in their own units, and not those that scikit-learn scales by all samples.

    Source: Efron, Hastie, Johnstone & Tibshirani 2004, Least angle regression.
    """

    name = "diabetes"
    shape = (10,)
    kind_of_x: Literal["vector"] = "vector"
    kind_of_y: Literal["number"] = "number"
    num_outputs = 1

    def load(self) -> RawData:
        x, y = (
            torch.from_numpy(np.loadtxt(_lines(in_scikit_learn(f"diabetes_{part}.csv.gz")), dtype=np.float64))
            for part in ("data_raw", "target")
        )
        rest, test = randomly(len(y), 89, TEST_SEED)
        return RawData(x[rest], y[rest], x[test], y[test])


def _classes(file: str, test_size: int) -> RawData:
    """A header, then a line for each sample: its features and its class."""
    table = torch.from_numpy(np.loadtxt(_lines(in_scikit_learn(file))[1:], delimiter=",", dtype=np.float64))
    x, y = table[:, :-1], table[:, -1].long()
    rest, test = stratified(y, test_size, TEST_SEED)
    return RawData(x[rest], y[rest], x[test], y[test])


def _lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return str(file.read()).splitlines()
