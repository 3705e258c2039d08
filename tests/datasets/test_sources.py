"""Data sets from files that the tests write themselves."""

import gzip
import io
import pickle
import shutil
import struct
import tarfile

import numpy as np
import pytest
import torch

from paribus.datasets.cifar import CIFAR
from paribus.datasets.folder import ImageFolder
from paribus.datasets.huggingface import HuggingFace
from paribus.datasets.idx import IDX, read_idx
from paribus.datasets.source import MissingDataError
from paribus.datasets.synthetic import Synthetic


def write_idx(path, array, code=8):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(header + array.tobytes())


def test_idx_files_gzipped_or_plain(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8), np.arange(5, dtype=np.uint8)
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", x)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", y)
    raw = IDX("mnist", str(tmp_path)).load()
    assert raw.train_x.shape == (5, 1, 28, 28)
    assert np.array_equal(raw.test_x[:, 0].numpy(), x)
    assert raw.train_y.tolist() == [0, 1, 2, 3, 4]


def test_idx_values_are_big_endian(tmp_path):
    values = np.array([1, -2, 70000], dtype=">i4")
    write_idx(tmp_path / "a", values, code=12)
    assert read_idx(tmp_path / "a").tolist() == [1, -2, 70000]


def test_damaged_idx_files_are_named(tmp_path):
    (tmp_path / "a").write_bytes(b"hello world")
    with pytest.raises(ValueError, match="not an IDX file"):
        read_idx(tmp_path / "a")
    write_idx(tmp_path / "b", np.zeros(10, dtype=np.uint8))
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[:-3])
    with pytest.raises(ValueError, match="7 values"):
        read_idx(tmp_path / "b")


@pytest.mark.needs("fashion")
def test_fashion_mnist_as_debian_packs_it(tmp_path):
    raw = IDX("fashion_mnist", str(tmp_path)).load()
    assert torch.bincount(raw.train_y).tolist() == [6_000] * 10
    assert torch.bincount(raw.test_y).tolist() == [1_000] * 10
    assert raw.train_x.shape == (60_000, 1, 28, 28)
    assert raw.test_x.shape == (10_000, 1, 28, 28)


def test_files_that_cannot_be_had_say_where_they_belong(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr(IDX, "SYSTEM", {"fashion_mnist": [], "mnist": []})
    with pytest.raises(MissingDataError, match=r"no network.*dataset-fashion-mnist"):
        IDX("fashion_mnist", str(tmp_path / "none")).load()
    with pytest.raises(MissingDataError, match=r"cifar-100-python.tar.gz"):
        CIFAR(100, str(tmp_path / "none")).load()
    assert not (tmp_path / "none").exists()


def test_a_download_is_checked_and_appears_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"something else"))
    monkeypatch.setattr(IDX, "SYSTEM", {"fashion_mnist": [], "mnist": []})
    with pytest.raises(MissingDataError, match="has MD5"):
        IDX("mnist", str(tmp_path)).load()
    assert list(tmp_path.iterdir()) == []


def cifar_batches(folder, classes):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"] if classes == 10 else ["train", "test"]
    key = "labels" if classes == 10 else "fine_labels"
    for name in names:
        content = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), key: [0, 1, 2, classes - 1]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize(("classes", "name"), [(10, "cifar-10-batches-py"), (100, "cifar-100-python")])
def test_cifar_from_a_folder_and_from_its_archive(tmp_path, classes, name):
    cifar_batches(tmp_path / name, classes)
    folder = CIFAR(classes, str(tmp_path)).load()
    assert folder.train_x.shape == ((20 if classes == 10 else 4), 3, 32, 32)
    assert folder.train_y.max() == classes - 1
    archive = tmp_path / ("cifar-10-python.tar.gz" if classes == 10 else "cifar-100-python.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / name, name)
    shutil.rmtree(tmp_path / name)
    assert torch.equal(CIFAR(classes, str(tmp_path)).load().train_x, folder.train_x)


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_data_file_cannot_run_code(tmp_path, capsys):
    cifar_batches(tmp_path / "cifar-100-python", 100)
    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps({"data": Harmful()}))
    with pytest.raises(pickle.UnpicklingError, match="arrays only"):
        CIFAR(100, str(tmp_path)).load()
    assert "executed" not in capsys.readouterr().out


def test_a_folder_of_images(image_folder):
    source = ImageFolder(str(image_folder), image_size=6, channels=1)
    assert source.shape == (1, 6, 6)
    assert source.num_classes == 3
    raw = source.load()
    assert raw.train_y.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    x, label = raw.test[23]
    assert x.shape == (1, 6, 6)
    assert x.dtype == torch.uint8
    assert label == 2


def test_images_in_both_parts_are_found(image_folder):
    shutil.copy(image_folder / "train" / "class1" / "3.png", image_folder / "test" / "class0" / "copy.png")
    with pytest.raises(ValueError, match=r"1 test images are also training images.*copy\.png"):
        ImageFolder(str(image_folder)).load()


def test_folders_that_are_not_as_they_should_be(image_folder, tmp_path):
    with pytest.raises(MissingDataError, match="no train"):
        ImageFolder(str(tmp_path / "none"))
    (image_folder / "test" / "new").mkdir()
    with pytest.raises(ValueError, match=r"classes that .* does not have: new"):
        ImageFolder(str(image_folder))


def test_a_hugging_face_data_set_in_a_folder(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from PIL import Image

    import datasets

    def rows(part):
        found = sorted((image_folder / part).rglob("*.png"))
        return {"picture": [Image.open(path).copy() for path in found], "kind": [int(p.parent.name[-1]) for p in found]}

    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b", "c"])})
    parts = {part: datasets.Dataset.from_dict(rows(part), features=features) for part in ("train", "test")}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    source = HuggingFace(str(tmp_path / "saved"), image_size=8)
    assert (source.shape, source.num_classes) == ((3, 8, 8), 3)
    raw = source.load()
    x, label = raw.train[9]
    assert (x.shape, label) == ((3, 8, 8), 1)
    assert raw.test_y.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    with pytest.raises(MissingDataError, match="no split 'validation'"):
        HuggingFace(str(tmp_path / "saved"), test_split="validation")


def test_synthetic_classes_can_be_learnt_and_depend_on_the_seed():
    raw = Synthetic(shape=(1, 4, 4), num_classes=3, num_train=90, num_test=30, noise=0.1).load()
    prototypes = torch.stack([raw.train_x[raw.train_y == k].mean(0) for k in range(3)])
    distances = (raw.test_x[:, None] - prototypes).flatten(2).norm(dim=2)
    assert torch.equal(distances.argmin(1), raw.test_y)
    assert not torch.equal(
        raw.train_x, Synthetic(shape=(1, 4, 4), num_classes=3, num_train=90, num_test=30, seed=1).load().train_x
    )
    with pytest.raises(ValueError, match="shape"):
        Synthetic(shape=(3, 4))
