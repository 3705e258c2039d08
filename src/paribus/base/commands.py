"""The base of all commands: it refuses empty words, numbers that are not finite, and options without effect."""

from __future__ import annotations

import math
from typing import Any

import click
from click.core import ParameterSource


class Command(click.Command):
    """A command whose words hold something: an empty one comes of a variable of the shell that is not set."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            given = ctx.params.get(parameter.name or "")
            for word in given if isinstance(given, tuple) else (given,):
                if isinstance(word, str) and not word.strip() and is_given(ctx, parameter.name or ""):
                    raise click.BadParameter("it is empty. Give a value, or leave it out", ctx, parameter)
        return rest


class Finite(click.FloatRange):
    """A number within bounds, which inf and nan are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether the command line gives an option, and not its default."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def without_effect(name: str, reason: str) -> None:
    """Raises click's UsageError if the command line gives an option that has no effect here."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and is_given(ctx, name):
        option = next(max(each.opts, key=len) for each in ctx.command.params if each.name == name)
        raise click.UsageError(f"{option} has no effect {reason}. Leave it out", ctx)
