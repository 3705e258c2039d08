"""The private names that Paribus uses are there, and what stands in for a name that is gone gives the same results."""

import copy
import logging

import pytest
import torch
from torch import nn

from paribus.base import torch_internals as internals


def tensors(*shapes):
    return [torch.randn(*shape) for shape in shapes]


@pytest.mark.parametrize(
    "name",
    [
        "_run_backward",
        "fused_sgd",
        "fused_adam",
        "fused_adamw",
        "_standard_gamma",
        "_spectral_norm",
    ],
)
def test_this_version_of_torch_has_the_name(name):
    assert getattr(internals, name) is not None


def test_this_version_of_torch_shows_operations_and_their_schemas():
    assert internals.SHOWS_OPERATIONS
    assert internals.below_autograd is not torch.no_grad
    assert internals.schema(torch.ops.aten.add_.Tensor).is_mutable
    assert isinstance(torch.ops.aten.relu.default, internals.OpOverload)
    assert isinstance(internals.has_amx(), bool)
    assert internals.compile_report() is not None


def test_a_name_that_is_gone_is_said_and_is_none(caplog):
    with caplog.at_level(logging.WARNING, "paribus"):
        assert internals.find("_C._no_such_name") is None
        assert internals.find("_no_such_module.thing") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"torch {torch.__version__} has no torch._C._no_such_name: a slower way is taken",
        f"torch {torch.__version__} has no torch._no_such_module.thing: a slower way is taken",
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("add", ["same"], {"alpha": 0.3}),
        ("add_", [0.5], {}),
        ("mul_", [[0.25, 0.5]], {}),
        ("sqrt", [], {}),
        ("addcmul_", ["same", "same", [0.1, 0.2]], {}),
        ("addcdiv_", ["same", "same"], {"value": -0.1}),
        ("lerp_", ["same", 0.1], {}),
        ("norm", [], {}),
    ],
)
def test_one_tensor_at_a_time_is_the_same_as_all_in_one_call(name, arguments, options):
    own = [tensor.abs() for tensor in tensors((3, 4), (5,))]
    given = [tensors((3, 4), (5,)) if item == "same" else item for item in arguments]
    other = copy.deepcopy(own)
    fast = getattr(torch, f"_foreach_{name}")(own, *given, **options)
    slow = internals._one_by_one(name)(other, *given, **options)
    for one, two in zip(own if name.endswith("_") else fast, other if name.endswith("_") else slow, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)


def test_gamma_from_the_global_stream_is_that_of_the_generator_and_leaves_the_stream_alone():
    shape = torch.full((2, 50), 0.4)
    one, other = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    before = torch.get_rng_state()
    for _ in range(2):  # the second call goes on where the first one ended
        assert torch.equal(internals.standard_gamma(shape, one), internals._gamma_of_the_global_stream(shape, other))
    assert torch.equal(torch.get_rng_state(), before)


def test_hooks_are_seen_and_assumed_where_torch_does_not_say(monkeypatch):
    module, optimizer = nn.Linear(2, 2), torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    assert not internals.has_hooks(module)
    assert not internals.has_step_hooks(optimizer)
    module.register_forward_hook(lambda *given: None)
    optimizer.register_step_post_hook(lambda *given: None)
    assert internals.has_hooks(module)
    assert internals.has_step_hooks(optimizer)
    assert internals.has_hooks(object())
    assert internals.has_step_hooks(object())


def test_without_a_schema_or_a_view_of_operations_tracing_says_so():
    with pytest.raises(RuntimeError, match="does not tell the arguments"):
        internals.schema(object())
    with pytest.raises(RuntimeError, match="does not show its operations"), internals._Blind():
        pass
