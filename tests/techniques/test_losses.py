"""Losses: identities, gradients in closed form, soft targets, and how predictions are read."""

import pytest
import torch
import torch.nn.functional as F

from paribus.techniques import losses
from paribus.techniques.losses import CrossEntropy, ScalarSquaredError, SoftmaxSquaredError, SquaredError

LOSSES = [
    *(CrossEntropy(5), CrossEntropy(5, 0.1), CrossEntropy(5, 0.1, z_loss=0.3)),
    *(SquaredError(5), SquaredError(5, weight=3.0, scale=4.0)),
    *(SoftmaxSquaredError(5), ScalarSquaredError(5)),
]
IDS = ["cross_entropy", "label_smoothing", "z_loss", "mse", "mse_rescaled", "softmax_mse", "scalar_mse"]


def batch(loss, n=7, k=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(n, loss.num_outputs, generator=generator, dtype=dtype)
    return outputs, torch.randint(0, k, (n,), generator=generator)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_the_mean_of_the_samples_and_its_gradient(loss):
    outputs, y = batch(loss)
    torch.testing.assert_close(loss(outputs, y), loss.per_sample(outputs, y).mean())
    assert torch.autograd.gradcheck(lambda z: loss(z, y), outputs.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_a_hard_target_is_a_soft_one_of_one_class(loss):
    outputs, y = batch(loss)
    torch.testing.assert_close(loss(outputs, F.one_hot(y, 5).double()), loss(outputs, y))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_extreme_outputs_give_finite_losses_and_gradients(loss):
    outputs, y = batch(loss, dtype=torch.float32)
    outputs = (outputs.sign() * 1e4).requires_grad_()
    value = loss(outputs, y)
    value.backward()
    assert value.isfinite()
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_half_precision_outputs_are_computed_with_in_float32(loss):
    outputs, y = batch(loss, dtype=torch.bfloat16)
    assert loss(outputs, y).dtype == torch.float32
    torch.testing.assert_close(loss(outputs, y), loss(outputs.float(), y))


def test_the_z_loss_is_the_square_of_the_log_normaliser():
    outputs, y = batch(CrossEntropy(5), n=100)
    expected = F.cross_entropy(outputs, y, reduction="none") + 0.3 * outputs.exp().sum(1).log().square()
    torch.testing.assert_close(CrossEntropy(5, z_loss=0.3).per_sample(outputs, y), expected)
    assert float(CrossEntropy(5, z_loss=0.3)(outputs.log_softmax(1), y)) == pytest.approx(
        float(F.cross_entropy(outputs, y))
    )
    with pytest.raises(ValueError, match="z_loss must be finite and at least 0, got -1"):
        CrossEntropy(5, z_loss=-1.0)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_logarithms_of_probabilities_are_there_where_none_can_be_0(loss):
    outputs, _ = batch(loss)
    found, expected = loss.log_probabilities(outputs), loss.probabilities(outputs)
    if isinstance(loss, SquaredError | ScalarSquaredError):
        assert found is None
    else:
        torch.testing.assert_close(found.exp(), expected, check_dtype=False, rtol=1e-5, atol=1e-6)


def test_cross_entropy_is_the_negative_log_likelihood():
    """Minimising cross-entropy is maximising likelihood (claim 1.4b)."""
    outputs, y = batch(CrossEntropy(5))
    likelihood = torch.distributions.Categorical(logits=outputs).log_prob(y).exp().prod()
    torch.testing.assert_close(CrossEntropy(5)(outputs, y) * len(y), -likelihood.log())


def test_one_hot_targets_are_equally_far_apart():
    """Every pair of classes is at distance sqrt 2 (claim 1.4a)."""
    distances = torch.pdist(F.one_hot(torch.arange(6), 6).double())
    torch.testing.assert_close(distances, torch.full_like(distances, 2.0).sqrt())


def test_softmax_squared_error_has_no_gradient_from_a_confident_wrong_start():
    """2 (diag p - p p^T)(p - y) in closed form; it vanishes where cross-entropy's does not (claim 1.4c)."""
    z = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1])
    SoftmaxSquaredError(3)(z, y).backward()
    p = z.detach().softmax(1)[0]
    target = F.one_hot(y, 3).double()[0]
    torch.testing.assert_close(z.grad[0], 2 * (p.diag() - p.outer(p)) @ (p - target))

    confident = torch.tensor([[30.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    SoftmaxSquaredError(3)(confident, y).backward()
    assert confident.grad.abs().max() < 1e-10
    confident.grad = None
    CrossEntropy(5)(confident, y).backward()
    assert confident.grad.abs().max() > 0.99


def test_squared_error_sums_over_classes():
    z = torch.tensor([[0.5, 0.0], [1.0, 2.0]])
    torch.testing.assert_close(SquaredError(2).per_sample(z, torch.tensor([0, 1])), torch.tensor([0.25, 2.0]))


def test_the_rescaled_squared_error_is_the_sum_of_the_paper():
    """w (z_c - M)^2 + sum over the other classes of z_k^2, Hui & Belkin 2021."""
    outputs, y = batch(SquaredError(5))
    wanted = [
        15 * (z[c] - 30) ** 2 + sum(z[k] ** 2 for k in range(5) if k != c) for z, c in zip(outputs, y, strict=True)
    ]
    torch.testing.assert_close(SquaredError(5, weight=15, scale=30).per_sample(outputs, y), torch.stack(wanted))


def test_without_a_weight_and_a_scale_it_is_the_squared_error_to_the_bit():
    outputs, y = batch(SquaredError(5), dtype=torch.float32)
    plain = (outputs - F.one_hot(y, 5).float()).square().sum(1)
    assert torch.equal(SquaredError(5, weight=1.0, scale=1.0).per_sample(outputs, y), plain)


@pytest.mark.parametrize("weight", [1.0, 0.5, 15.0])
def test_the_outputs_where_the_expected_squared_error_is_smallest_are_read_as_probabilities(weight):
    """Over samples that differ in nothing but their class, with frequencies 0.7, 0.2 and 0.1."""
    loss = SquaredError(3, weight=weight, scale=4.0)
    y = torch.tensor([0] * 7 + [1] * 2 + [2])
    z = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(z.expand(10, 3), y), z, create_graph=True)
    curvature = torch.stack([torch.autograd.grad(each, z, retain_graph=True)[0][k] for k, each in enumerate(gradient)])
    best = (z - gradient / curvature).detach()  # one step of Newton: the loss is quadratic, class by class
    found = loss.probabilities(best[None])[0]
    torch.testing.assert_close(found, torch.tensor([0.7, 0.2, 0.1]))
    torch.testing.assert_close(loss.confidence(best[None])[0], found.max())


@pytest.mark.parametrize("name", ["weight", "scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_weight_and_scale_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} of the squared error must be positive and finite, got"):
        SquaredError(5, **{name: value})


def test_the_nearest_class_on_the_line_wins():
    loss = ScalarSquaredError(5)
    assert loss.num_outputs == 1
    z = torch.tensor([[-3.0], [0.1], [0.13], [0.6], [9.0]])
    assert loss.predict(z).tolist() == [0, 0, 1, 2, 4]
    assert loss.confidence(z) is None


def test_the_order_of_classes_on_the_line_can_be_permuted():
    loss = ScalarSquaredError(3, order=[2, 0, 1])
    assert loss.per_sample(torch.tensor([[1.0], [0.0], [0.5]]), torch.arange(3)).tolist() == [0.0, 0.0, 0.0]
    assert loss.predict(torch.tensor([[0.9], [0.1], [0.6]])).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="every number from 0 to 2"):
        ScalarSquaredError(3, order=[0, 0, 1])


def test_a_soft_scalar_target_is_the_mean_position():
    loss = ScalarSquaredError(5)
    mixed = torch.tensor([[0.25, 0.0, 0.0, 0.0, 0.75]])
    torch.testing.assert_close(loss.per_sample(torch.tensor([[0.75]]), mixed), torch.tensor([0.0]))


def test_confidences_are_probabilities():
    outputs, _ = batch(CrossEntropy(5))
    torch.testing.assert_close(CrossEntropy(5).confidence(outputs), outputs.float().softmax(1).max(1).values)
    assert SquaredError(2).confidence(torch.tensor([[1.7, 0.0], [-1.0, -2.0], [0.2, 0.6]])).tolist() == pytest.approx(
        [1, 0, 0.6]
    )


def test_label_smoothing_of_one_is_refused():
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropy(5, 1.0)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("loss", [CrossEntropy(5), CrossEntropy(5, 0.1)], ids=["hard", "smooth"])
@pytest.mark.parametrize("rows", [63, 64])
def test_many_short_rows_are_taken_as_columns(monkeypatch, loss, soft, rows):
    """Where a register holds eight of these numbers; the same losses, confidences and gradients."""
    monkeypatch.setattr(losses, "REGISTER", 64)
    outputs, y = batch(loss, rows)
    target = F.one_hot(y, 5).double() if soft else y
    assert losses._columns(outputs).shape == ((rows, 5) if rows < 64 else (1, 5, rows))
    found = loss.per_sample(outputs.requires_grad_(), target)
    wanted = F.cross_entropy(outputs, target, reduction="none", label_smoothing=loss.label_smoothing)
    torch.testing.assert_close(found, wanted)
    (of_found,), (of_wanted,) = (torch.autograd.grad(each.square().sum(), outputs) for each in (found, wanted))
    torch.testing.assert_close(of_found, of_wanted)
    torch.testing.assert_close(loss.confidence(outputs.detach()), outputs.detach().float().softmax(1).amax(1))


@pytest.mark.parametrize("register", [32, 0])
def test_rows_that_fill_a_register_stay_rows(monkeypatch, register):
    monkeypatch.setattr(losses, "REGISTER", register)
    outputs, _ = batch(CrossEntropy(5), 100)
    assert losses._columns(outputs).shape == (100, 5)
