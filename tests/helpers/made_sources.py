"""Sources of every kind of sample and target, small and made of a seed."""

import torch

from paribus.datasets.source import LazyData, RawData

KINDS_OF_X = {
    "image": {"shape": (2, 4, 4)},
    "vector": {"shape": (5,)},
    "sequence": {"shape": (6, 3)},
    "tokens": {"shape": (6,), "vocabulary_size": 7},
}
KINDS_OF_Y = {"class": {"num_classes": 3}, "number": {"num_outputs": 2}, "labels": {"num_classes": 4}}


class Made:
    """A source of one kind of x and one of y; anything else about it can be given."""

    name = "made"

    def __init__(self, kind_of_x="vector", kind_of_y="class", lazy=False, sizes=(60, 20), seed=0, **said):
        self.kind_of_x = "sequence" if kind_of_x == "tokens" else kind_of_x
        self.kind_of_y = kind_of_y
        self.lazy, self.sizes, self.seed = lazy, sizes, seed
        self.__dict__.update(KINDS_OF_X[kind_of_x] | KINDS_OF_Y[kind_of_y] | said)

    def load(self):
        generator = torch.Generator().manual_seed(self.seed)
        parts = [part for size in self.sizes for part in (self.x(size, generator), self.y(size, generator))]
        if self.lazy:
            return LazyData(Pairs(*parts[:2]), parts[1], Pairs(*parts[2:]), parts[3])
        return RawData(*parts)

    def x(self, size, generator):
        if (tokens := getattr(self, "vocabulary_size", None)) is not None:
            return torch.randint(0, tokens, (size, *self.shape), generator=generator)
        return 3 + 2 * torch.randn((size, *self.shape), generator=generator, dtype=torch.float64)

    def y(self, size, generator):
        if self.kind_of_y == "class":
            return torch.arange(size) % self.num_classes
        if self.kind_of_y == "labels":
            return torch.randint(0, 2, (size, self.num_classes), generator=generator)
        shape = (size, self.num_outputs) if self.num_outputs > 1 else (size,)
        return 100 + 7 * torch.randn(shape, generator=generator, dtype=torch.float64)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]
