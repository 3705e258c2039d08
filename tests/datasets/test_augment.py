"""Augmentations: what may change, how it is distributed, and that the generator alone decides."""

import pytest
import torch

from paribus.techniques.augment import CropFlip, CutMix, Cutout, Identity, MixUp

N, K = 4000, 5


def batch(n=N):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 2, 8, 8, generator=generator) + 1.0, torch.randint(0, K, (n,), generator=generator)


def applied(augmentation, x, y, seed=1):
    return augmentation(x, y, num_classes=K, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("augmentation", [Identity(), CropFlip(), Cutout(), MixUp(), CutMix()])
def test_the_generator_alone_decides(augmentation):
    x, y = batch(16)
    torch.manual_seed(5)
    first = applied(augmentation, x, y)
    torch.manual_seed(6)
    second = applied(augmentation, x, y)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    if not isinstance(augmentation, Identity):
        assert not torch.equal(first[0], applied(augmentation, x, y, seed=2)[0])
    assert first[0].shape == x.shape


def test_crops_shift_by_at_most_the_padding_and_flips_mirror_half():
    x, y = batch()
    flipped, same = applied(CropFlip(padding=0), x, y)
    assert torch.equal(same, y)
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], x[~mirrored])
    assert 0.45 < mirrored.float().mean() < 0.55

    shifted, _ = applied(CropFlip(padding=4, flip=False), x, y)  # 4 of 32 pixels is 1 of 8
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    matches = torch.stack(
        [(shifted == padded[:, :, r : r + 8, c : c + 8]).flatten(1).all(1) for r in range(3) for c in range(3)]
    )
    assert matches.any(0).all()
    assert (matches.float().mean(1) - 1 / 9).abs().max() < 0.03


def test_cutout_sets_a_square_to_zero_and_nothing_else():
    x, y = batch()
    cut, same = applied(Cutout(0.5), x, y)
    assert torch.equal(same, y)
    zero = cut == 0
    assert torch.equal(cut[~zero], x[~zero])
    assert torch.equal(zero[:, 0], zero[:, 1])
    sizes = zero[:, 0].sum((1, 2))
    assert sizes.max() == 16  # 4 x 4 of 8 x 8
    assert (sizes == 16).float().mean() > 0.2


def test_mixup_mixes_images_and_targets_by_the_same_share():
    x, y = batch()
    mixed, soft = applied(MixUp(1.0), x, y)
    assert soft.shape == (N, K)
    torch.testing.assert_close(soft.sum(1), torch.ones(N))
    # Images that are their class number show the share of their target.
    ramp = y[:, None, None, None].float().expand(N, 1, 2, 2)
    mixed, soft = applied(MixUp(1.0), ramp, y)
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft @ torch.arange(K).float(), atol=1e-5, rtol=1e-5)
    own = soft.gather(1, y[:, None])[:, 0]
    assert own.mean() == pytest.approx(0.5 + 0.5 / K, abs=0.03)  # the partner is of the same class once in K


def test_cutmix_mixes_targets_by_area():
    y = torch.arange(N) % 2
    x = y[:, None, None, None].float().expand(N, 1, 8, 8)
    mixed, soft = CutMix(1.0)(x, y, num_classes=2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), soft[:, 1])
    assert set(mixed.unique().tolist()) == {0.0, 1.0}


def test_soft_targets_can_be_mixed_again():
    x, y = batch(8)
    mixed, soft = applied(MixUp(), x, y)
    _, again = applied(CutMix(), mixed, soft)
    torch.testing.assert_close(again.sum(1), torch.ones(8))


@pytest.mark.parametrize("make", [lambda: MixUp(0.0), lambda: CutMix(-1.0), lambda: Cutout(0.0), lambda: CropFlip(-1)])
def test_impossible_options(make):
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 4)])
@pytest.mark.parametrize("kind", ["class", "number", "numbers", "labels"])
def test_mixup_mixes_samples_of_any_shape_and_targets_of_any_kind(shape, kind):
    """One share for a sample and its target: both lie equally far between those of two samples."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, *shape, generator=generator)
    y = {
        "class": torch.arange(50) % 4,
        "number": torch.randn(50, generator=generator),
        "numbers": torch.randn(50, 2, generator=generator),
        "labels": torch.randint(0, 2, (50, 4), generator=generator).float(),
    }[kind]
    mixed_x, mixed_y = MixUp(1.0)(x, y, num_classes=4, generator=torch.Generator().manual_seed(1))
    partner = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    before = torch.nn.functional.one_hot(y, 4).float() if kind == "class" else y
    for k in range(50):
        if partner[k] == k:
            continue
        way = (x[partner[k]] - x[k]).flatten()
        share = float((mixed_x[k] - x[k]).flatten() @ way / (way @ way))
        assert 0 <= share <= 1
        torch.testing.assert_close(mixed_x[k], x[k].lerp(x[partner[k]], share), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mixed_y[k], before[k].lerp(before[partner[k]], share), atol=1e-5, rtol=1e-5)
