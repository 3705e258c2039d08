"""Lightning's counter of updates is found, and None where it is elsewhere."""

from types import SimpleNamespace

import pytorch_lightning as pl

from paribus.base.lightning_internals import remember_external_callbacks, update_counter


def test_the_counter_is_what_global_step_counts():
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=-1)
    module = pl.LightningModule()
    module.automatic_optimization = False
    trainer.strategy.connect(module)
    counter = update_counter(trainer)
    counter.ready += 1
    counter.completed += 3
    assert trainer.global_step == 3


def test_a_counter_that_is_elsewhere_is_none():
    assert update_counter(SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace()))) is None


def test_callbacks_of_installed_packages_are_looked_up_once():
    from pytorch_lightning.trainer.connectors import callback_connector

    before = callback_connector._load_external_callbacks
    try:
        remember_external_callbacks()
        remembered = callback_connector._load_external_callbacks
        remembered("pytorch_lightning.callbacks_factory")
        assert remembered.cache_info().misses == 1
    finally:
        callback_connector._load_external_callbacks = before
