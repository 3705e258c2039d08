"""Training, validation and test sets of a source; they share nothing and are standardised by the training set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.seeds import mix
from paribus.datasets.source import LazyData, Source
from paribus.datasets.stratify import stratified

RESIDENT_BYTES = 2 << 30  # what "auto" still keeps in memory, as float32
_HASHED_BYTES = 16 << 20


@dataclass
class TensorSet:
    """Samples in memory. x (N, C, H, W) is float and standardised, or uint8 and standardised when gathered."""

    x: Tensor
    y: Tensor
    mean: Tensor = field(default_factory=lambda: torch.zeros(1))
    std: Tensor = field(default_factory=lambda: torch.ones(1))

    def __len__(self) -> int:
        return len(self.y)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The batch (x, y) of these indices; on their device, which must be the set's."""
        return self._scaled(self.x.index_select(0, indices)), self.y.index_select(0, indices)

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return self._scaled(self.x[start:stop]), self.y[start:stop]

    def _scaled(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.std if x.dtype == torch.uint8 else x

    def to(self, device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> TensorSet:
        """On a device, in the floating type that the network computes in."""
        floating = self.x.dtype != torch.uint8
        x = self.x.to(device, dtype if floating else None, memory_format=memory_format)
        return TensorSet(x, self.y.to(device), self.mean.to(device, dtype), self.std.to(device, dtype))


@dataclass
class LazySet:
    """Samples that workers read one by one: `indices` of a data set, with labels of our own (they may be noisy)."""

    dataset: Dataset[Any]
    indices: Tensor
    y: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        x, _ = self.dataset[int(self.indices[number])]
        return (x.float() - self.mean[0]) / self.std[0], self.y[number]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The batch (x, y) of these indices, read one by one."""
        pairs = [self[int(number)] for number in indices]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])


@dataclass
class Splits:
    """The three parts of a data set. `indices` says which samples of the source's two files went where."""

    train: TensorSet | LazySet
    val: TensorSet | LazySet
    test: TensorSet | LazySet
    num_classes: int
    fingerprint: str  # names data, split and noise: two runs of one table must share it
    indices: dict[str, Tensor]


def prepare(
    source: Source,
    *,
    validation: float | int,
    split_seed: int = 0,
    subset: float | int | None = None,
    label_noise: float = 0.0,
    noise_seed: int = 0,
    standardize: bool = True,
    resident: bool | str = "auto",
) -> Splits:
    """Load, split off the validation set (stratified), take a subset of the rest, flip labels, standardise.

    validation: a share in (0, 1), or a number of samples, taken from the source's training part.
    subset: a share or a number of samples of what remains for training.
    label_noise: share of the training labels that are replaced by a uniformly random other class.
    standardize: (x - mean) / std per channel with the statistics of the final training set; else x / max(x).
    resident: keep the samples in memory ("auto": up to 2 GiB).

    The test part is never touched by anything but the standardisation.

    Raises ValueError for shares and numbers that leave a part empty.
    """
    raw = source.load()
    total = len(raw.train_y)
    rest, val = stratified(raw.train_y, _count("data.validation", validation, total), split_seed)
    train = rest
    if subset is not None:
        _, chosen = stratified(raw.train_y[rest], _count("data.subset", subset, len(rest)), mix(split_seed, 7))
        train = rest[chosen]
    if len(train) == 0:
        raise ValueError(f"data.validation={validation} leaves no training sample of {total}. Take fewer")
    y_train = flip_labels(raw.train_y[train], label_noise, source.num_classes, noise_seed)
    indices = {"train": train, "val": val, "test": torch.arange(len(raw.test_y))}
    if resident not in (True, False, "auto"):
        raise ValueError(f"data.resident must be auto, true or false, got {resident!r}")

    if isinstance(raw, LazyData):
        channels, height, width = source.shape
        fits = 4 * channels * height * width * (total + len(raw.test_y)) <= RESIDENT_BYTES
        if resident is False or (resident == "auto" and not fits):
            mean, std = _lazy_statistics(raw.train, train) if standardize else _plain(channels, 255.0)
            parts = [
                LazySet(dataset, chosen, y, mean, std)
                for dataset, chosen, y in (
                    (raw.train, train, y_train),
                    (raw.train, val, raw.train_y[val]),
                    (raw.test, indices["test"], raw.test_y),
                )
            ]
            mark = _fingerprint([raw.train_y, raw.test_y, train, val, y_train, mean, std])
            return Splits(parts[0], parts[1], parts[2], source.num_classes, mark, indices)
        train_x, test_x = _read_all(raw.train), _read_all(raw.test)
    else:
        train_x, test_x = raw.train_x, raw.test_x

    x = train_x[train]
    mean, std = _statistics(x) if standardize else _plain(x.shape[1], float(x.max()))
    keep_bytes = x.dtype == torch.uint8 and 4 * (train_x.numel() + test_x.numel()) > RESIDENT_BYTES

    def part(x: Tensor, y: Tensor) -> TensorSet:
        return TensorSet(x, y, mean, std) if keep_bytes else TensorSet((x.float() - mean) / std, y)

    return Splits(
        part(x, y_train),
        part(train_x[val], raw.train_y[val]),
        part(test_x, raw.test_y),
        source.num_classes,
        _fingerprint([x, y_train, train_x[val], raw.train_y[val], test_x, raw.test_y, mean, std]),
        indices,
    )


def flip_labels(y: Tensor, share: float, num_classes: int, seed: int) -> Tensor:
    """Replace exactly round(share * N) labels by a uniformly random other class (symmetric noise)."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"data.label_noise must be a share between 0 and 1, got {share}")
    number = round(share * len(y))
    if number == 0:
        return y
    generator = torch.Generator().manual_seed(mix(seed, 1))
    chosen = torch.randperm(len(y), generator=generator)[:number]
    shift = torch.randint(1, num_classes, (number,), generator=generator)
    noisy = y.clone()
    noisy[chosen] = (y[chosen] + shift) % num_classes
    return noisy


def _count(key: str, value: float | int, total: int) -> int:
    number = round(value * total) if isinstance(value, float) and value < 1 else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= total:
        raise ValueError(f"{key} must be a share in (0, 1) or a whole number of samples from 1 to {total}, got {value}")
    return number


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel, each (1, C, 1, 1); a constant channel keeps its scale."""
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    squares = torch.zeros(x.shape[1], dtype=torch.float64)
    for block in x.split(4096):  # in blocks, so that bytes need not become floats all at once
        values = block.double()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    return _moments(total, squares, x.numel() // x.shape[1])


def _lazy_statistics(dataset: Dataset[Any], indices: Tensor, sample: int = 2000) -> tuple[Tensor, Tensor]:
    """From evenly spaced samples: reading a large set twice would take as long as an epoch."""
    chosen = indices[:: max(1, len(indices) // sample)].tolist()
    return _statistics(torch.stack([dataset[i][0] for i in chosen]))


def _moments(total: Tensor, squares: Tensor, count: int) -> tuple[Tensor, Tensor]:
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    std = torch.where(std > 0, std, torch.ones_like(std))
    return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)


def _plain(channels: int, scale: float) -> tuple[Tensor, Tensor]:
    return torch.zeros(1, channels, 1, 1), torch.full((1, channels, 1, 1), scale)


def _read_all(dataset: Dataset[Any]) -> Tensor:
    return torch.stack([dataset[index][0] for index in range(len(dataset))])  # type: ignore[arg-type]


def _fingerprint(tensors: list[Tensor]) -> str:
    """Of all bytes, or of evenly spaced samples where there are more than 16 MiB."""
    digest = hashlib.sha256()
    for tensor in tensors:
        stride = max(1, -(-tensor.nbytes // _HASHED_BYTES))
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor[::stride].contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
