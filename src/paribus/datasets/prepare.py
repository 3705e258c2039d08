"""Training, validation and test sets of a source; they share nothing and are standardised by the training set."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from paribus.datasets.contents import checked, checked_sample
from paribus.datasets.redraw import Size, redrawn
from paribus.datasets.scale import plain, sampled_statistics, scaled, statistics
from paribus.datasets.seeds import mix
from paribus.datasets.source import Form, LazyData, RawData, Source, form_of
from paribus.datasets.stratify import part_of

RESIDENT_BYTES = 2 << 30  # what "auto" still keeps in memory, as float32
_HASHED_BYTES = 16 << 20


@dataclass
class TensorSet:
    """Samples in memory. x (N, *shape) is float and standardised, uint8 and standardised when gathered, or tokens.

    y: classes (N,) int64, numbers (N,) or (N, T) float32 in their own units, labels (N, K) float32, or tokens
    (N, places) int64.
    """

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
        x = placed(self.x, device, dtype, memory_format)
        return TensorSet(x, self.y.to(device), self.mean.to(device, dtype), self.std.to(device, dtype))


def placed(x: Tensor, device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> Tensor:
    """Samples on a device: numbers in the floating type that the network computes in, bytes and tokens as they are."""
    return x.to(
        device,
        dtype if x.is_floating_point() else None,
        non_blocking=device.type == "cuda",
        memory_format=memory_format,
    )


@dataclass
class LazySet:
    """Samples that workers read one by one: `indices` of a data set, with labels of our own (they may be noisy)."""

    dataset: Dataset[Any]
    indices: Tensor
    y: Tensor
    mean: Tensor
    std: Tensor
    form: Form

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        index = int(self.indices[number])
        x = checked_sample(self.form, index, self.dataset[index][0])
        return x if self.form.has_tokens else scaled(x, self.mean[0], self.std[0], self.form), self.y[number]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The batch (x, y) of these indices, read one by one."""
        pairs = [self[int(number)] for number in indices]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])


@dataclass
class Splits:
    """The three parts of a data set.

    fingerprint: names data, split and noise; two runs of one table must share it. Where the test part is drawn from all
        samples it names these and the sizes of the parts, so that runs on several splits can be averaged.
    indices: which samples of the source's two parts went where; of a test part that is drawn, see `redrawn`.
    target_mean, target_std: of the training targets where y is a number, float32 () or (T,); std is 1 for a constant.
        The targets themselves stay in their own units. Predicting target_mean for every sample is the chance level.
    """

    train: TensorSet | LazySet
    val: TensorSet | LazySet
    test: TensorSet | LazySet
    form: Form
    fingerprint: str
    indices: dict[str, Tensor]
    target_mean: Tensor | None = None
    target_std: Tensor | None = None


def prepare(
    source: Source,
    *,
    validation: float | int,
    split_seed: int = 0,
    test: Size | None = None,
    subset: float | int | None = None,
    label_noise: float = 0.0,
    noise_seed: int = 0,
    standardize: bool = True,
    resident: bool | str = "auto",
) -> Splits:
    """Load, split off the validation set, take a subset of the rest, flip labels, standardise.

    Parts are drawn at random, and keep the share of every class where a sample has one class.

    validation: a share in (0, 1), or a number of samples, taken from the source's training part.
    test: None for the source's own test part; else it is drawn anew from all samples, see `redrawn`.
    subset: a share or a number of samples of what remains for training.
    label_noise: share of the training labels that are replaced by a uniformly random other class.
    standardize: (x - mean) / std per channel of images or per feature, with the statistics of the final training set;
        else images are divided by max(x), and numbers stay as they are. Tokens stay as they are in any case.
    resident: keep the samples in memory ("auto": up to 2 GiB).

    The source's own test part is never touched by anything but the standardisation.

    Raises ValueError for shares and numbers that leave a part empty, and for data that are not of the source's form.
    """
    form = form_of(source)
    if label_noise and form.kind_of_y != "class":
        kinds = {"number": "numbers", "labels": "several labels at once", "tokens": "tokens"}
        raise ValueError(
            f"data.label_noise replaces classes by other classes, and the targets of {source.name} are "
            f"{kinds[form.kind_of_y]}. Use data.label_noise=0"
        )
    raw = checked(source, form, source.load())
    pool, places = raw, [torch.arange(len(raw.train_y)), torch.arange(len(raw.test_y))]
    if test is not None:
        raw, *places = redrawn(raw, form, test, split_seed)
    total = len(raw.train_y)
    rest, val = part_of(raw.train_y, form, _count("data.validation", validation, total), split_seed)
    train = rest
    if subset is not None:
        _, chosen = part_of(raw.train_y[rest], form, _count("data.subset", subset, len(rest)), mix(split_seed, 7))
        train = rest[chosen]
    if len(train) == 0:
        raise ValueError(f"data.validation={validation} leaves no training sample of {total}. Take fewer")
    y_train = flip_labels(raw.train_y[train], label_noise, form.num_outputs, noise_seed)
    indices = {"train": places[0][train], "val": places[0][val], "test": places[1]}
    target_mean, target_std = _targets(y_train) if form.kind_of_y == "number" else (None, None)
    if resident not in (True, False, "auto"):
        raise ValueError(f"data.resident must be auto, true or false, got {resident!r}")

    if isinstance(raw, LazyData):
        fits = 4 * math.prod(form.shape) * (total + len(raw.test_y)) <= RESIDENT_BYTES
        if resident is False or (resident == "auto" and not fits):
            standardised = standardize and not form.has_tokens
            mean, std = sampled_statistics(raw.train, train, form) if standardised else plain(form, 255.0)
            parts = [
                LazySet(dataset, chosen, y, mean, std, form)
                for dataset, chosen, y in (
                    (raw.train, train, y_train),
                    (raw.train, val, raw.train_y[val]),
                    (raw.test, torch.arange(len(raw.test_y)), raw.test_y),
                )
            ]
            mark = _fingerprint([raw.train_y, raw.test_y, train, val, y_train, mean, std])
            mark = mark if test is None else _of_all(pool, (label_noise, noise_seed, standardize), indices)
            return Splits(parts[0], parts[1], parts[2], form, mark, indices, target_mean, target_std)
        train_x, test_x = _read_all(raw.train, form), _read_all(raw.test, form)
    else:
        train_x, test_x = raw.train_x, raw.test_x

    x = train_x[train]
    if standardize and not form.has_tokens:
        mean, std = statistics(x, form)
    else:
        mean, std = plain(form, float(x.max()) if form.kind_of_x == "image" else 1.0)
    keep_bytes = x.dtype == torch.uint8 and 4 * (train_x.numel() + test_x.numel()) > RESIDENT_BYTES

    def part(x: Tensor, y: Tensor) -> TensorSet:
        if form.has_tokens:
            return TensorSet(x.long(), y)
        return TensorSet(x, y, mean.float(), std.float()) if keep_bytes else TensorSet(scaled(x, mean, std, form), y)

    mark = _fingerprint([x, y_train, train_x[val], raw.train_y[val], test_x, raw.test_y, mean, std])
    if test is not None:
        mark = _of_all(pool, (label_noise, noise_seed, standardize), indices)
    return Splits(
        part(x, y_train),
        part(train_x[val], raw.train_y[val]),
        part(test_x, raw.test_y),
        form,
        mark,
        indices,
        target_mean,
        target_std,
    )


def _targets(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each target, computed in double precision."""
    exact = y.double()
    std = exact.std(0, correction=0)
    constant = exact.amax(0) == exact.amin(0)
    return exact.mean(0).float(), torch.where(constant, torch.ones_like(std), std).float()


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


def _read_all(dataset: Dataset[Any], form: Form) -> Tensor:
    return torch.stack([checked_sample(form, k, dataset[k][0]) for k in range(len(dataset))])  # type: ignore[arg-type]


def _of_all(pool: RawData | LazyData, settings: tuple[float, ...], indices: dict[str, Tensor]) -> str:
    """The fingerprint of all samples, and how many of them train, validate and test: 3fa9c2d1e0ab 1200/237/360."""
    x = [pool.train_x, pool.test_x] if isinstance(pool, RawData) else []
    mark = _fingerprint([*x, pool.train_y, pool.test_y, torch.tensor(settings, dtype=torch.float64)])
    return f"{mark} {'/'.join(str(len(part)) for part in indices.values())}"


def _fingerprint(tensors: list[Tensor]) -> str:
    """Of all bytes, or of evenly spaced samples where there are more than 16 MiB."""
    digest = hashlib.sha256()
    for tensor in tensors:
        stride = max(1, -(-tensor.nbytes // _HASHED_BYTES))
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor[::stride].contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
