"""The moving average of the weights follows the weights that are trained, in every layout and precision."""

import pytest
import torch

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.run.callbacks.ema import EMA
from paribus.run.fit import build_loop, build_trainer, quiet_lightning

SMALL = [
    *("norm=none", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "callbacks=[none]"),
    *("optimizer=sgd", "trainer.threads=1"),
]


class Average:
    """The average by hand, in float64, with EMA's warm-up."""

    def __init__(self, decay):
        self.decay, self.updates, self.average = decay, 0, {}

    def __call__(self, network):
        beta = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, p in network.named_parameters():
            self.average[name] += (1 - beta) * (p.detach().double() - self.average[name])


@pytest.mark.parametrize(
    "options",
    [
        ["model=cnn", "model.widths=[8,8]", "trainer.channels_last=true"],
        ["model=mlp", "model.width=8", "trainer.precision=bf16-true"],
    ],
    ids=["channels_last", "bfloat16"],
)
def test_the_average_is_that_of_the_weights_that_are_trained(options, tmp_path):
    run = Run.parse(resolved(load([*SMALL, *options])))
    setting = build.build_setting(run)
    loop = build_loop(run, setting, None)
    ema, expected = EMA(decay=0.9), Average(0.9)
    start = {name: p.detach().double() for name, p in loop.network.named_parameters()}
    rounded = torch.bfloat16 if "bf16" in options[-1] else torch.float64
    expected.average = {name: value.to(rounded).double().clone() for name, value in start.items()}
    followed = ema.on_update
    ema.on_update = lambda loop: (followed(loop), expected(loop.network))
    with quiet_lightning():
        build_trainer(run, [ema], [], tmp_path).fit(loop, datamodule=build.build_data(run, setting))
    assert expected.updates == 6
    for name, value in expected.average.items():
        assert float((value - start[name]).abs().max()) > 1e-3  # it has moved
        torch.testing.assert_close(ema.average[name].double(), value, rtol=1e-5, atol=1e-6)
    with loop.evaluation_weights():
        for name, p in loop.network.named_parameters():
            assert torch.equal(p, ema.average[name].to(p.dtype))
