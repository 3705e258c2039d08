"""Every norm against an independent formula, in training and evaluation, and its invariants."""

import pytest
import torch
from torch import nn

from paribus.techniques.norms import norm as norms
from paribus.techniques.norms.batch_norm import BatchRenorm

SHAPES = {"vector": (12, 8), "map": (6, 8, 5, 4), "tokens": (6, 7, 8)}
# The axes that statistics are taken over, and the axis of the channels.
AXES = {
    "batch": {"vector": (0,), "map": (0, 2, 3), "tokens": (0, 1)},
    "sync_batch": {"vector": (0,), "map": (0, 2, 3), "tokens": (0, 1)},
    "batch_renorm": {"vector": (0,), "map": (0, 2, 3), "tokens": (0, 1)},
    "layer": {"vector": (1,), "map": (1, 2, 3), "tokens": (2,)},
    "layer_channels_last": {"vector": (1,), "map": (1,), "tokens": (2,)},
    "instance": {"map": (2, 3), "tokens": (1,)},
    "rms": {"vector": (1,), "map": (1, 2, 3), "tokens": (2,)},
}
CASES = [(name, layout) for name, layouts in AXES.items() for layout in layouts]


def sample(layout):
    generator = torch.Generator().manual_seed(1)
    return 3.0 + 2.0 * torch.randn(SHAPES[layout], generator=generator, dtype=torch.float64)


def built(name, layout, **options):
    """A norm with scales and shifts that are not 1 and 0."""
    module = getattr(norms, name)(8, layout, **options).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(8, generator=generator, dtype=torch.float64))
    return module


def channels(values, layout):
    return values.view(1, 8, 1, 1) if layout == "map" else values


def affine(module, x, layout):
    out = x * channels(module.weight, layout)
    return out if getattr(module, "bias", None) is None else out + channels(module.bias, layout)


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_the_formula(name, layout):
    x, module = sample(layout), built(name, layout)
    axes = AXES[name][layout]
    if name == "rms":
        expected = x / (x.square().mean(axes, keepdim=True) + 1e-6).sqrt()
    else:
        mean = x.mean(axes, keepdim=True)
        expected = (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(module(x), affine(module, expected, layout))


@pytest.mark.parametrize(("name", "layout"), [case for case in CASES if "batch" not in case[0]])
def test_evaluation_is_training_where_the_batch_plays_no_part(name, layout):
    x, module = sample(layout), built(name, layout)
    torch.testing.assert_close(module.eval()(x), module.train()(x))
    torch.testing.assert_close(module(x)[:2], module(x[:2]))


@pytest.mark.parametrize("layout", ["vector", "map", "tokens"])
@pytest.mark.parametrize("name", ["batch", "sync_batch", "batch_renorm"])
def test_moving_statistics_and_their_use(name, layout):
    x, module = sample(layout), built(name, layout, momentum=0.3)
    axes = AXES[name][layout]
    mean, var = torch.zeros(8, dtype=torch.float64), torch.ones(8, dtype=torch.float64)
    for step in range(3):
        shifted = x * (step + 1)
        module(shifted)
        mean = 0.7 * mean + 0.3 * shifted.mean(axes)
        var = 0.7 * var + 0.3 * shifted.var(axes, correction=1)  # unbiased, as in torch
    torch.testing.assert_close(module.running_mean, mean)
    torch.testing.assert_close(module.running_var, var)
    expected = (x - channels(mean, layout)) / (channels(var, layout) + 1e-5).sqrt()
    torch.testing.assert_close(module.eval()(x), affine(module, expected, layout))


@pytest.mark.parametrize("layout", ["vector", "map"])
def test_batch_norm_is_torchs_own(layout):
    reference = (nn.BatchNorm1d if layout == "vector" else nn.BatchNorm2d)(8).double()
    module = norms.batch(8, layout).double()
    for _ in range(2):
        x, y = sample(layout).requires_grad_(), sample(layout).requires_grad_()
        module(x).pow(3).sum().backward()
        reference(y).pow(3).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[key])


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_scaling_the_input_changes_nothing(name, layout):
    if name == "batch_renorm":
        module = BatchRenorm(8, layout, r_max=1.0, d_max=0.0).double()
    else:
        module = built(name, layout, eps=1e-12)
    module.eps = 1e-12
    x = sample(layout)
    torch.testing.assert_close(module(5.0 * x), module(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "layout"), [case for case in CASES if case[0] != "rms"])
def test_shifting_the_input_changes_nothing(name, layout):
    module, x = built(name, layout), sample(layout)
    torch.testing.assert_close(module(x + 7.0), module(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", ["vector", "map", "tokens"])
def test_batch_renorm_with_limits_1_and_0_is_batch_norm(layout):
    renorm = BatchRenorm(8, layout, momentum=0.1, r_max=1.0, d_max=0.0).double()
    plain = norms.batch(8, layout).double()
    for step in range(3):
        renorm.set_progress(step / 2)
        x = (sample(layout) * (step + 1)).requires_grad_()
        y = x.detach().clone().requires_grad_()
        torch.testing.assert_close(renorm(x), plain(y))
        renorm(x).pow(2).mul(
            torch.arange(8.0)[:, None, None] if layout == "map" else torch.arange(8.0)
        ).sum().backward()
        plain(y).pow(2).mul(torch.arange(8.0)[:, None, None] if layout == "map" else torch.arange(8.0)).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("layout", ["vector", "map", "tokens"])
def test_batch_renorm_without_limits_gives_the_output_of_evaluation(layout):
    module = BatchRenorm(8, layout, r_max=1e9, d_max=1e9, start=0.0, r_full=0.0, d_full=0.0).double()
    module.set_progress(1.0)
    x = sample(layout)
    expected = module.eval()(x)  # before the training pass moves the statistics
    torch.testing.assert_close(module.train()(x), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shift", [-9.0, 9.0])
def test_batch_renorm_clips_on_both_sides(shift):
    """r and d written out: the batch's mean lies beyond the limits, once below and once above the moving mean."""
    module = BatchRenorm(8, "vector", r_max=2.0, d_max=0.5, start=0.0, r_full=0.0, d_full=0.0, affine=False).double()
    module.set_progress(1.0)
    x = sample("vector") - 3.0 + shift
    moving, batch = torch.ones(8).double().add(1e-5).sqrt(), x.var(0, correction=0).add(1e-5).sqrt()
    r = torch.minimum(torch.maximum(batch / moving, torch.tensor(0.5)), torch.tensor(2.0))
    d = torch.full((8,), 0.5 if shift > 0 else -0.5, dtype=torch.float64)
    assert ((x.mean(0) / moving).abs() > 0.5).all()
    torch.testing.assert_close(module(x), (x - x.mean(0)) / batch * r + d)


def test_batch_renorm_limits_ramp_over_the_run():
    module = BatchRenorm(8, "map")
    seen = []
    for t in (0.0, 0.02, 0.095, 0.16, 0.25, 1.0):
        module.set_progress(t)
        seen.append((module.r_max, module.d_max))
    assert seen[0] == seen[1] == (1.0, 0.0)
    assert seen[2] == (pytest.approx(1 + 2 * 0.065 / 0.22), pytest.approx(5 * 0.065 / 0.13))
    assert seen[3][1] == 5.0
    assert seen[4] == seen[5] == (3.0, 5.0)


def test_batch_renorm_gradient_stops_at_r_and_d():
    """d/dx of ((x - mu_B) / sigma_B * r + d) with r and d constant, by autograd of that expression."""
    module = BatchRenorm(8, "vector", start=0.0, r_full=0.0, d_full=0.0).double()
    module.set_progress(1.0)
    with torch.no_grad():
        module.running_mean.fill_(2.0)
        module.running_var.fill_(3.0)
    x = sample("vector").requires_grad_()
    y = x.detach().clone().requires_grad_()
    mean, var = y.mean(0), y.var(0, correction=0)
    sigma = torch.full((8,), 3.0 + 1e-5, dtype=torch.float64).sqrt()
    r = ((var + 1e-5).sqrt() / sigma).clamp(1 / 3, 3).detach()
    d = ((mean - 2.0) / sigma).clamp(-5, 5).detach()
    expected = (y - mean) / (var + 1e-5).sqrt() * r + d
    found = module(x)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_group_norm_contains_layer_and_instance_norm():
    x = sample("map")
    torch.testing.assert_close(norms.group(8, "map", groups=8).double()(x), norms.instance(8, "map").double()(x))
    torch.testing.assert_close(norms.group(8, "map", groups=1).double()(x), norms.layer(8, "map").double()(x))
    tokens = sample("tokens")
    torch.testing.assert_close(
        norms.group(8, "tokens", groups=1).double()(tokens), norms.layer(8, "tokens").double()(tokens)
    )


@pytest.mark.parametrize(
    ("groups", "channels", "nearest"), [(7, 16, "4 or 8"), (5, 7, "1 or 7"), (9, 8, "8"), (0, 8, "1")]
)
def test_group_norm_names_the_nearest_numbers(groups, channels, nearest):
    with pytest.raises(ValueError, match=f"groups={nearest}"):
        norms.group(channels, "map", groups=groups)


def test_norms_say_where_they_cannot_work():
    with pytest.raises(ValueError, match=r"norm=instance with model=cnn"):
        norms.instance(8, "vector")
    with pytest.raises(ValueError, match="more than one place"):
        norms.instance(8, "map")(torch.zeros(4, 8, 1, 1))
    for name in ("batch", "sync_batch", "batch_renorm"):
        module = getattr(norms, name)(8, "vector")
        with pytest.raises(ValueError, match=r"drop_last=true.*norm=group"):
            module(torch.zeros(1, 8))
        module.eval()(torch.zeros(1, 8))


def test_a_bias_is_left_out_only_where_a_norm_makes_it_redundant():
    assert norms.needs_bias(None, 8, "map")
    assert not norms.needs_bias(norms.batch, 8, "map")
    assert not norms.needs_bias(norms.instance, 8, "map")
    # A mean over several channels does not take out a bias per channel.
    assert norms.needs_bias(norms.layer, 8, "map")
    assert norms.needs_bias(norms.rms, 8, "map")


SYNC = """
import sys, torch, torch.distributed as dist
from paribus.techniques.norms import norm as norms
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
g = torch.Generator().manual_seed(0)
whole = torch.randn(7, 4, 3, 3, generator=g, dtype=torch.float64) * 2 + 1
weights = torch.randn(7, 4, 3, 3, generator=g, dtype=torch.float64)
share = slice(0, 5) if rank == 0 else slice(5, 7)  # of different sizes
x = whole[share].clone().requires_grad_()
module = norms.sync_batch(4, "map").double()
out = module(x)
(out * weights[share]).sum().backward()
reference_x = whole.clone().requires_grad_()
reference = norms.batch(4, "map").double()
expected = reference(reference_x)
(expected * weights).sum().backward()
torch.testing.assert_close(out, expected[share])
torch.testing.assert_close(x.grad, reference_x.grad[share])
torch.testing.assert_close(module.running_mean, reference.running_mean)
torch.testing.assert_close(module.running_var, reference.running_var)
dist.destroy_process_group()
"""


def test_sync_batch_norm_over_two_processes_is_batch_norm_of_the_joined_batch(tmp_path):
    import subprocess
    import sys

    processes = [
        subprocess.Popen([sys.executable, "-c", SYNC, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
