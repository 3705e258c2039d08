"""The public names of what a `_target_` can be: who a thing is, wherever its file lies.

A run's identity hashes a `_target_` of this table by what the thing was called first, so its file can move: its row
gets the new import path as `at`, and the ids of all records stay. A `_target_` may be written by its public name or by
any import path that it has or had. Whatever is not listed, such as a user's own class, is its import path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One thing that a config can name.

    first: the import path that it is hashed as. It never changes.
    at: the import path of today, where its file has moved since. also: further import paths of today. was: those of
        between, which records name and which lead nowhere any more.
    version: raise it when a repair changes what the thing computes; records of earlier versions are not reused.
    places: arguments that only say where fixed content lies. files: those that name a file or folder of any content.
    observes: whether it can change no weight and no metric of the run.
    """

    first: str
    at: str | None = None
    also: tuple[str, ...] = ()
    was: tuple[str, ...] = ()
    version: int = 1
    places: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    observes: bool = False

    @property
    def path(self) -> str:
        return self.at or self.first


TARGETS: Mapping[str, Target] = {
    "paribus.task.Classification": Target(
        "paribus.tasks.classification.Classification", at="paribus.tasks.classification.task.Classification"
    ),
    "paribus.task.Regression": Target(
        "paribus.tasks.regression.Regression", at="paribus.tasks.regression.task.Regression"
    ),
    "paribus.task.Multilabel": Target("paribus.tasks.multilabel.task.Multilabel"),
    "paribus.task.Language": Target("paribus.tasks.language.task.Language"),
    "paribus.task.Lightning": Target("paribus.extras.lightning.driver.Lightning"),
    "paribus.model.CNN": Target(
        "paribus.nn.models.cnn.CNN",
        at="paribus.models.cnn.CNN",
        was=("paribus.techniques.models.cnn.CNN",),
    ),
    "paribus.model.Linear": Target(
        "paribus.nn.models.dense.Linear",
        at="paribus.models.dense.Linear",
        was=("paribus.techniques.models.dense.Linear",),
    ),
    "paribus.model.MLP": Target(
        "paribus.nn.models.dense.MLP",
        at="paribus.models.dense.MLP",
        was=("paribus.techniques.models.dense.MLP",),
    ),
    "paribus.model.ResNet": Target(
        "paribus.nn.models.resnet.ResNet",
        at="paribus.models.resnet.ResNet",
        was=("paribus.techniques.models.resnet.ResNet",),
    ),
    "paribus.model.ViT": Target(
        "paribus.nn.models.vit.ViT",
        at="paribus.models.vit.ViT",
        was=("paribus.techniques.models.vit.ViT",),
    ),
    "paribus.model.GPT": Target("paribus.models.gpt.GPT"),
    "paribus.model.GRU": Target("paribus.models.recurrent.GRU"),
    "paribus.model.LSTM": Target("paribus.models.recurrent.LSTM"),
    "paribus.model.RNN": Target("paribus.models.recurrent.RNN"),
    "paribus.model.TokenMLP": Target("paribus.models.token_mlp.TokenMLP"),
    "paribus.norm.batch": Target("paribus.nn.norm.batch", at="paribus.techniques.norms.norm.batch"),
    "paribus.norm.batch_renorm": Target(
        "paribus.nn.norm.batch_renorm", at="paribus.techniques.norms.norm.batch_renorm"
    ),
    "paribus.norm.group": Target("paribus.nn.norm.group", at="paribus.techniques.norms.norm.group"),
    "paribus.norm.instance": Target("paribus.nn.norm.instance", at="paribus.techniques.norms.norm.instance"),
    "paribus.norm.layer": Target("paribus.nn.norm.layer", at="paribus.techniques.norms.norm.layer"),
    "paribus.norm.layer_channels_last": Target(
        "paribus.nn.norm.layer_channels_last", at="paribus.techniques.norms.norm.layer_channels_last"
    ),
    "paribus.norm.own": Target("paribus.techniques.norms.norm.own"),
    "paribus.norm.rms": Target("paribus.nn.norm.rms", at="paribus.techniques.norms.norm.rms"),
    "paribus.norm.sync_batch": Target("paribus.nn.norm.sync_batch", at="paribus.techniques.norms.norm.sync_batch"),
    "paribus.norm.spectral_norm": Target(
        "paribus.nn.parametrize.spectral_norm", at="paribus.techniques.norms.parametrize.spectral_norm"
    ),
    "paribus.norm.weight_norm": Target(
        "paribus.nn.parametrize.weight_norm", at="paribus.techniques.norms.parametrize.weight_norm"
    ),
    "paribus.loss.BinaryCrossEntropy": Target("paribus.techniques.label_losses.BinaryCrossEntropy"),
    "paribus.loss.CrossEntropy": Target("paribus.losses.CrossEntropy", at="paribus.techniques.losses.CrossEntropy"),
    "paribus.loss.Huber": Target("paribus.techniques.regression_losses.Huber"),
    "paribus.loss.MeanAbsoluteError": Target("paribus.techniques.regression_losses.MeanAbsoluteError"),
    "paribus.loss.MeanSquaredError": Target("paribus.techniques.regression_losses.MeanSquaredError"),
    "paribus.loss.ScalarSquaredError": Target(
        "paribus.losses.ScalarSquaredError", at="paribus.techniques.losses.ScalarSquaredError"
    ),
    "paribus.loss.SoftmaxSquaredError": Target(
        "paribus.losses.SoftmaxSquaredError", at="paribus.techniques.losses.SoftmaxSquaredError"
    ),
    "paribus.loss.SquaredError": Target("paribus.losses.SquaredError", at="paribus.techniques.losses.SquaredError"),
    "paribus.optimizer.AdagradRMS": Target(
        "paribus.optim.notes.AdagradRMS", at="paribus.techniques.optimizers.notes.AdagradRMS"
    ),
    "paribus.optimizer.Muon": Target("paribus.optim.muon.Muon", at="paribus.techniques.optimizers.muon.Muon"),
    "paribus.optimizer.RMSPropNotes": Target(
        "paribus.optim.notes.RMSPropNotes", at="paribus.techniques.optimizers.notes.RMSPropNotes"
    ),
    "paribus.optimizer.Shampoo": Target(
        "paribus.optim.shampoo.Shampoo", at="paribus.techniques.optimizers.shampoo.Shampoo"
    ),
    "paribus.scheduler.BatchGrowth": Target(
        "paribus.optim.schedule.BatchGrowth", at="paribus.techniques.schedules.BatchGrowth"
    ),
    "paribus.scheduler.Constant": Target("paribus.optim.schedule.Constant", at="paribus.techniques.schedules.Constant"),
    "paribus.scheduler.Cosine": Target("paribus.optim.schedule.Cosine", at="paribus.techniques.schedules.Cosine"),
    "paribus.scheduler.CosineRestarts": Target(
        "paribus.optim.schedule.CosineRestarts", at="paribus.techniques.schedules.CosineRestarts"
    ),
    "paribus.scheduler.Exponential": Target(
        "paribus.optim.schedule.Exponential", at="paribus.techniques.schedules.Exponential"
    ),
    "paribus.scheduler.InverseSqrt": Target(
        "paribus.optim.schedule.InverseSqrt", at="paribus.techniques.schedules.InverseSqrt"
    ),
    "paribus.scheduler.MultiStep": Target(
        "paribus.optim.schedule.MultiStep", at="paribus.techniques.schedules.MultiStep"
    ),
    "paribus.scheduler.OneCycle": Target("paribus.optim.schedule.OneCycle", at="paribus.techniques.schedules.OneCycle"),
    "paribus.scheduler.Plateau": Target("paribus.optim.schedule.Plateau", at="paribus.techniques.schedules.Plateau"),
    "paribus.scheduler.Polynomial": Target(
        "paribus.optim.schedule.Polynomial", at="paribus.techniques.schedules.Polynomial"
    ),
    "paribus.scheduler.Step": Target("paribus.optim.schedule.Step", at="paribus.techniques.schedules.Step"),
    "paribus.scheduler.WSD": Target("paribus.optim.schedule.WSD", at="paribus.techniques.schedules.WSD"),
    "paribus.augmentation.CropFlip": Target("paribus.data.augment.CropFlip", at="paribus.techniques.augment.CropFlip"),
    "paribus.augmentation.CutMix": Target("paribus.data.augment.CutMix", at="paribus.techniques.augment.CutMix"),
    "paribus.augmentation.Cutout": Target("paribus.data.augment.Cutout", at="paribus.techniques.augment.Cutout"),
    "paribus.augmentation.Identity": Target("paribus.data.augment.Identity", at="paribus.techniques.augment.Identity"),
    "paribus.augmentation.MixUp": Target("paribus.data.augment.MixUp", at="paribus.techniques.augment.MixUp"),
    "paribus.source.CIFAR": Target("paribus.data.cifar.CIFAR", at="paribus.datasets.cifar.CIFAR", places=("root",)),
    "paribus.source.Digits": Target("paribus.data.digits.Digits", at="paribus.datasets.digits.Digits"),
    "paribus.source.HuggingFace": Target(
        "paribus.data.huggingface.HuggingFace", at="paribus.datasets.huggingface.HuggingFace", files=("path",)
    ),
    "paribus.source.IDX": Target("paribus.data.idx.IDX", at="paribus.datasets.idx.IDX", places=("root",)),
    "paribus.source.ImageFolder": Target(
        "paribus.data.folder.ImageFolder", at="paribus.datasets.folder.ImageFolder", files=("root",)
    ),
    "paribus.source.Arrays": Target("paribus.datasets.arrays.Arrays", files=("path",)),
    "paribus.source.BreastCancer": Target("paribus.datasets.sklearn_tables.BreastCancer"),
    "paribus.source.CSV": Target("paribus.datasets.table_files.CSV", files=("path", "test")),
    "paribus.source.Diabetes": Target("paribus.datasets.sklearn_tables.Diabetes"),
    "paribus.source.Parquet": Target("paribus.datasets.table_files.Parquet", files=("path", "test")),
    "paribus.source.Wine": Target("paribus.datasets.sklearn_tables.Wine"),
    "paribus.source.Copy": Target("paribus.datasets.tokens.algorithms.Copy"),
    "paribus.source.Markov": Target("paribus.datasets.tokens.markov.Markov"),
    "paribus.source.Modular": Target("paribus.datasets.tokens.algorithms.Modular"),
    "paribus.source.Parity": Target("paribus.datasets.tokens.algorithms.Parity"),
    "paribus.source.Recall": Target("paribus.datasets.tokens.algorithms.Recall"),
    "paribus.source.Sort": Target("paribus.datasets.tokens.algorithms.Sort"),
    "paribus.source.HuggingFaceText": Target("paribus.datasets.tokens.text.HuggingFaceText", files=("path",)),
    "paribus.source.Text": Target("paribus.datasets.tokens.text.Text", files=("path",)),
    "paribus.source.Zipf": Target("paribus.datasets.tokens.zipf.Zipf"),
    "paribus.source.Synthetic": Target("paribus.data.synthetic.Synthetic", at="paribus.datasets.synthetic.Synthetic"),
    "paribus.callback.Checkpoints": Target(
        "paribus.train.checkpoints.Checkpoints", at="paribus.run.callbacks.checkpoints.Checkpoints", observes=True
    ),
    "paribus.callback.EMA": Target("paribus.task.ema.EMA", at="paribus.run.callbacks.ema.EMA"),
    "paribus.callback.EarlyStopping": Target(
        "paribus.task.early_stopping.EarlyStopping", at="paribus.run.callbacks.early_stopping.EarlyStopping"
    ),
    "paribus.callback.GradientCosine": Target(
        "paribus.task.gradients.GradientCosine", at="paribus.extras.curvature.gradients.GradientCosine", observes=True
    ),
    "paribus.callback.GradientMonitor": Target(
        "paribus.task.monitors.GradientMonitor", at="paribus.run.callbacks.monitors.GradientMonitor", observes=True
    ),
    "paribus.callback.LearningRateMonitor": Target(
        "paribus.task.monitors.LearningRateMonitor",
        at="paribus.run.callbacks.monitors.LearningRateMonitor",
        observes=True,
    ),
    "paribus.callback.NoiseScale": Target(
        "paribus.task.gradients.NoiseScale", at="paribus.extras.curvature.gradients.NoiseScale", observes=True
    ),
    "paribus.callback.Plateau": Target(
        "paribus.task.gradients.Plateau", at="paribus.extras.curvature.gradients.Plateau", observes=True
    ),
    "paribus.callback.Progress": Target(
        "paribus.train.progress.Progress", at="paribus.run.callbacks.progress.Progress", observes=True
    ),
    "paribus.callback.Sharpness": Target(
        "paribus.task.sharpness.Sharpness", at="paribus.extras.curvature.sharpness.Sharpness", observes=True
    ),
    "paribus.callback.Snapshots": Target(
        "paribus.task.snapshots.Snapshots", at="paribus.extras.surfaces.snapshots.Snapshots", observes=True
    ),
    "paribus.logger.csv": Target(
        "paribus.train.loggers.csv_logger", at="paribus.run.loggers.csv_logger", observes=True
    ),
    "paribus.logger.tensorboard": Target(
        "paribus.train.loggers.tensorboard_logger", at="paribus.run.loggers.tensorboard_logger", observes=True
    ),
    "paribus.logger.wandb": Target(
        "paribus.train.loggers.wandb_logger", at="paribus.extras.wandb.logger.wandb_logger", observes=True
    ),
    "paribus.surface.Beale": Target("paribus.surfaces.catalogue.Beale", at="paribus.extras.surfaces.catalogue.Beale"),
    "paribus.surface.ManyMinima": Target(
        "paribus.surfaces.catalogue.ManyMinima", at="paribus.extras.surfaces.catalogue.ManyMinima"
    ),
    "paribus.surface.MonkeySaddle": Target(
        "paribus.surfaces.catalogue.MonkeySaddle", at="paribus.extras.surfaces.catalogue.MonkeySaddle"
    ),
    "paribus.surface.Quadratic": Target(
        "paribus.surfaces.catalogue.Quadratic", at="paribus.extras.surfaces.catalogue.Quadratic"
    ),
    "paribus.surface.Rosenbrock": Target(
        "paribus.surfaces.catalogue.Rosenbrock", at="paribus.extras.surfaces.catalogue.Rosenbrock"
    ),
    "paribus.surface.Saddle": Target(
        "paribus.surfaces.catalogue.Saddle", at="paribus.extras.surfaces.catalogue.Saddle"
    ),
    "paribus.surface.ThreeFactors": Target(
        "paribus.surfaces.catalogue.ThreeFactors", at="paribus.extras.surfaces.catalogue.ThreeFactors"
    ),
    "paribus.surface.TwoFactors": Target(
        "paribus.surfaces.catalogue.TwoFactors", at="paribus.extras.surfaces.catalogue.TwoFactors"
    ),
    "paribus.surface.TwoWalls": Target(
        "paribus.surfaces.catalogue.TwoWalls", at="paribus.extras.surfaces.catalogue.TwoWalls"
    ),
    "paribus.surface.Valley": Target(
        "paribus.surfaces.catalogue.Valley", at="paribus.extras.surfaces.catalogue.Valley"
    ),
    **{
        f"torchmetrics.{name}": Target(f"torchmetrics.{name}")
        for name in (
            *("F1Score", "Precision", "Recall", "Specificity", "AUROC", "AveragePrecision", "MatthewsCorrCoef"),
            *("JaccardIndex", "classification.MulticlassF1Score", "classification.MulticlassPrecision"),
            *("classification.MulticlassRecall", "classification.MulticlassSpecificity"),
            *("classification.MulticlassAUROC", "classification.MulticlassAveragePrecision"),
            *("classification.MulticlassAccuracy", "classification.MulticlassCalibrationError"),
            *("classification.MulticlassCohenKappa", "classification.MulticlassMatthewsCorrCoef"),
            *("classification.MulticlassJaccardIndex", "MeanSquaredError", "MeanAbsoluteError", "R2Score"),
            *("MeanAbsolutePercentageError", "PearsonCorrCoef", "SpearmanCorrCoef", "ExplainedVariance"),
        )
    },
    # Of libraries: the name that their documentation uses, and the file that it comes from today.
    "pytorch_lightning.callbacks.EarlyStopping": Target(
        "pytorch_lightning.callbacks.EarlyStopping",
        also=("pytorch_lightning.callbacks.early_stopping.EarlyStopping",),
    ),
    "pytorch_optimizer.AdaBelief": Target(
        "pytorch_optimizer.AdaBelief", also=("pytorch_optimizer.optimizer.adabelief.AdaBelief",)
    ),
    "pytorch_optimizer.LARS": Target("pytorch_optimizer.LARS", also=("pytorch_optimizer.optimizer.lars.LARS",)),
    "pytorch_optimizer.Lamb": Target("pytorch_optimizer.Lamb", also=("pytorch_optimizer.optimizer.lamb.Lamb",)),
    "pytorch_optimizer.Lion": Target("pytorch_optimizer.Lion", also=("pytorch_optimizer.optimizer.lion.Lion",)),
    "pytorch_optimizer.Prodigy": Target(
        "pytorch_optimizer.Prodigy", also=("pytorch_optimizer.optimizer.prodigy.Prodigy",)
    ),
    "pytorch_optimizer.SOAP": Target("pytorch_optimizer.SOAP", also=("pytorch_optimizer.optimizer.soap.SOAP",)),
    "schedulefree.AdamWScheduleFree": Target(
        "schedulefree.AdamWScheduleFree", also=("schedulefree.adamw_schedulefree.AdamWScheduleFree",)
    ),
    "schedulefree.SGDScheduleFree": Target(
        "schedulefree.SGDScheduleFree", also=("schedulefree.sgd_schedulefree.SGDScheduleFree",)
    ),
    "torch.optim.Adadelta": Target("torch.optim.Adadelta", also=("torch.optim.adadelta.Adadelta",)),
    "torch.optim.Adafactor": Target("torch.optim.Adafactor", also=("torch.optim._adafactor.Adafactor",)),
    "torch.optim.Adagrad": Target("torch.optim.Adagrad", also=("torch.optim.adagrad.Adagrad",)),
    "torch.optim.Adam": Target("torch.optim.Adam", also=("torch.optim.adam.Adam",)),
    "torch.optim.AdamW": Target("torch.optim.AdamW", also=("torch.optim.adamw.AdamW",)),
    "torch.optim.NAdam": Target("torch.optim.NAdam", also=("torch.optim.nadam.NAdam",)),
    "torch.optim.RAdam": Target("torch.optim.RAdam", also=("torch.optim.radam.RAdam",)),
    "torch.optim.RMSprop": Target("torch.optim.RMSprop", also=("torch.optim.rmsprop.RMSprop",)),
    "torch.optim.SGD": Target("torch.optim.SGD", also=("torch.optim.sgd.SGD",)),
}
_NAMES: Mapping[str, str] = {
    known: name for name, row in TARGETS.items() for known in (name, row.first, row.path, *row.also, *row.was)
}


def public_name(target: Any) -> str:
    """The public name of a `_target_`; the target itself, as text, where it is not in the table."""
    return _NAMES.get(target, str(target)) if isinstance(target, str) else str(target)


def known(target: Any) -> Target | None:
    """The row of a `_target_`; None for what is not in the table."""
    return TARGETS.get(public_name(target))


def import_path(target: str) -> str:
    """Where to import a `_target_` from today."""
    row = known(target)
    return row.path if row else target


def hashed_name(target: str) -> str:
    """What a `_target_` counts as in a run's identity: its first import path, and its version from the second on."""
    row = known(target)
    if row is None:
        return target
    return row.first if row.version == 1 else f"{row.first} (version {row.version})"


def is_observer(node: Any) -> bool:
    """Whether a config node is a callback or logger that can change no weight and no metric, by its class.

    A node within it could be anything, so one that has such a node is not.
    """
    row = known(node.get("_target_")) if isinstance(node, Mapping) else None
    return row is not None and row.observes and not any(map(_holds_nodes, node.values()))


def _holds_nodes(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_holds_nodes, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_nodes, value))
