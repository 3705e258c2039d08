"""The optimizers of a stack: unmodified classes, each on as large views of the stacked storage as it allows.

What an optimizer may see at once depends on what it mixes:

    elementwise    one coordinate at a time: rows of several replicas with equal settings are one tensor
    per tensor     a norm or a factorisation of each tensor: one tensor a replica, many replicas to an optimizer
    whole          anything else, and what can fail on numbers that are not finite: one optimizer a replica

An optimizer that is not listed is taken as whole, which is right for every optimizer and fast for none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.extras.stack.network import StackedNetwork
from paribus.techniques.optimizers.build import evaluation_weights
from paribus.techniques.optimizers.fused import FusedStep
from paribus.techniques.schedules import Schedule

ELEMENTWISE = {
    "torch.optim.SGD",
    "torch.optim.Adam",
    "torch.optim.AdamW",
    "torch.optim.NAdam",
    "torch.optim.RAdam",
    "torch.optim.Adagrad",
    "torch.optim.Adadelta",
    "torch.optim.RMSprop",
    "paribus.techniques.optimizers.notes.AdagradRMS",
    "paribus.techniques.optimizers.notes.RMSPropNotes",
    "pytorch_optimizer.optimizer.adabelief.AdaBelief",
    "pytorch_optimizer.optimizer.lion.Lion",
    "schedulefree.sgd_schedulefree.SGDScheduleFree",
    "schedulefree.adamw_schedulefree.AdamWScheduleFree",
}
_KNOWN = ("torch", "paribus", "pytorch_optimizer", "schedulefree")  # packages whose optimizers work in place
PER_TENSOR = {
    "torch.optim.Adafactor",
    "pytorch_optimizer.optimizer.lamb.Lamb",
    "pytorch_optimizer.optimizer.lars.LARS",
    "paribus.techniques.optimizers.muon.Muon",
}


class NoState(Exception):
    """An optimizer makes its state in its first step."""


@dataclass
class Setting:
    """What one replica asks for. schedule_key: equal for schedules that are the same curve."""

    make: Callable[[nn.Module], Optimizer]
    schedule: Schedule
    schedule_key: Hashable


@dataclass
class _Single:
    """The form that the optimizer of a single run has: its groups' options, and the names of their parameters."""

    cls: type[Optimizer]
    options: list[dict[str, Any]]
    names: list[list[str]]
    arguments: dict[str, Any]  # of the constructor


@dataclass
class _Part:
    """One optimizer at work for some replicas.

    rows: replica -> its row in the part's tensors, None where each tensor belongs to one replica.
    groups: replica -> the numbers of its groups in the optimizer, in the order of the single run.
    parameters: (replica, name) -> the tensor that the optimizer knows.
    """

    optimizer: Optimizer
    schedule: Schedule
    replicas: list[int]
    rows: dict[int, int | None]
    groups: dict[int, list[int]]
    parameters: dict[tuple[int, str], nn.Parameter]
    failed: str | None = None
    rebinds: bool = False  # may give a parameter new memory, as strangers' `p.data = ...` does
    schedules: dict[int, Schedule] = field(default_factory=dict)  # group number -> its schedule

    @property
    def elementwise(self) -> bool:
        """Whether its tensors are rows of the stack's."""
        return self.rows[self.replicas[0]] is not None


class StackedOptimizers:
    """The optimizers of all replicas of an attached stack.

    settings: one for each replica. Equal ones should stand next to each other: they are then one tensor.
    """

    def __init__(self, stack: StackedNetwork, settings: Sequence[Setting]):
        self.stack = stack
        self.singles: list[_Single] = []
        whole: list[Optimizer] = []
        for network, setting in zip(stack.replicas, settings, strict=True):
            optimizer = setting.make(network)
            self.singles.append(_single(optimizer, network))
            whole.append(optimizer)
        self.parts: list[_Part] = []
        self._targets: dict[str, list[tuple[int, list[nn.Parameter] | nn.Parameter]]] = {
            name: [] for name in stack.trained()
        }
        merged: dict[tuple[Any, ...], list[list[int]]] = {}  # what one optimizer can serve -> runs of equal replicas
        keys = [self._key(k, settings[k].schedule_key) for k in range(len(settings))]
        for key, run in groupby(range(len(settings)), key=keys.__getitem__):
            replicas = list(run)
            kind = _kind(self.singles[replicas[0]])
            if kind == "whole":
                for k in replicas:
                    self._add_whole(k, whole[k], settings[k].schedule)
            else:
                merged.setdefault((key[0], kind, key[1]), []).append(replicas)
        for (_, kind, _), runs in merged.items():
            self._add_merged(runs, settings, elementwise=kind == "elementwise")
        self._steps = [FusedStep(part.optimizer) for part in self.parts]
        self._lay_out()

    def _key(self, k: int, schedule: Hashable) -> tuple[Any, ...]:
        single = self.singles[k]
        fixed = {name: value for name, value in single.arguments.items() if name not in single.options[0]}
        options = [{key: value for key, value in group.items()} for group in single.options]
        return single.cls, repr(sorted(fixed.items())), repr(options), repr(single.names), schedule

    def _add_whole(self, k: int, optimizer: Optimizer, schedule: Schedule) -> None:
        names = {id(p): name for name, p in self.stack.replicas[k].named_parameters()}
        own = {(k, names[id(p)]): p for group in optimizer.param_groups for p in group["params"]}
        numbers = list(range(len(optimizer.param_groups)))
        rebinds = type(optimizer).__module__.partition(".")[0] not in _KNOWN
        self.parts.append(_Part(optimizer, schedule, [k], {k: None}, {k: numbers}, own, rebinds=rebinds))

    def _add_merged(self, runs: list[list[int]], settings: Sequence[Setting], elementwise: bool) -> None:
        """One optimizer for runs of replicas with equal settings: a group for each run and group of the single form."""
        stacked = self.stack.trained()
        own = [dict(network.named_parameters()) for network in self.stack.replicas]
        listed: list[dict[str, Any]] = []
        schedules: dict[int, Schedule] = {}
        rows: dict[int, int | None] = {}
        groups: dict[int, list[int]] = {}
        known: dict[tuple[int, str], nn.Parameter] = {}
        for run in runs:
            first, last = run[0], run[-1] + 1
            single = self.singles[first]
            numbers = []
            for options, names in zip(single.options, single.names, strict=True):
                parameters: list[nn.Parameter] = []
                for name in names:
                    if elementwise:
                        view = nn.Parameter(stacked[name].detach()[first:last])
                        parameters.append(view)
                        known.update({(k, name): view for k in run})
                    else:
                        parameters += [own[k][name] for k in run]
                        known.update({(k, name): own[k][name] for k in run})
                numbers.append(len(listed))
                schedules[len(listed)] = settings[first].schedule
                listed.append({**options, "params": parameters})
            rows.update({k: k - first if elementwise else None for k in run})
            groups.update(dict.fromkeys(run, numbers))
        first = runs[0][0]
        optimizer = self.singles[first].cls(listed, **self.singles[first].arguments)
        if hasattr(optimizer, "train"):
            optimizer.train()
        part = _Part(optimizer, settings[first].schedule, list(rows), rows, groups, known, schedules=schedules)
        self.parts.append(part)

    def _lay_out(self) -> None:
        """How the gradient of each stacked tensor is divided: runs of rows that are one tensor, and single rows."""
        part_of = {k: part for part in self.parts for k in part.replicas}
        for name, targets in self._targets.items():
            k = 0
            while k < len(self.singles):
                part = part_of[k]
                if part.rows[k] is not None:
                    view = part.parameters[k, name]
                    targets.append((len(view), view))
                    k += len(view)
                    continue
                own: list[nn.Parameter] = []
                while k < len(self.singles) and part_of[k].rows[k] is None:
                    own.append(part_of[k].parameters[k, name])
                    k += 1
                targets.append((len(own), own))

    # ------------------------------------------------------------------------------------------ an update

    def remember_rates(self) -> None:
        for part in self.parts:
            for group in part.optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])

    def set_rates(self, step: float, horizon: float) -> None:
        for part in self.parts:
            # The groups of equal replicas stand together, in the order of the single run.
            numbered = enumerate(part.optimizer.param_groups)
            for _, own in groupby(numbered, key=lambda each: id(part.schedules.get(each[0], part.schedule))):
                numbers, groups = zip(*own, strict=True)
                part.schedules.get(numbers[0], part.schedule).apply(groups, step, horizon)

    def assign(self, grads: dict[str, Tensor]) -> None:
        """Give each optimizer's tensors their part of the stacked gradients; none where there is none."""
        for name, targets in self._targets.items():
            whole = grads.get(name)
            if whole is None:
                for _, target in targets:
                    for p in target if isinstance(target, list) else [target]:
                        p.grad = None
                continue
            if _begins(targets[0][1], whole):
                continue  # the same memory as before, of which they have their parts
            if len(targets) == 1 and not isinstance(targets[0][1], list):
                targets[0][1].grad = whole
                continue
            for (_, target), grad in zip(targets, whole.split([size for size, _ in targets]), strict=True):
                if isinstance(target, list):
                    for p, row in zip(target, grad.unbind(0), strict=True):
                        p.grad = row
                else:
                    target.grad = grad

    def step(self) -> dict[int, str]:
        """One step of all. Replicas whose own optimizer failed in it, with the reason: they are not stepped again."""
        failures = {}
        for part, step in zip(self.parts, self._steps, strict=True):
            if len(part.replicas) > 1 or part.elementwise:
                step()
            elif part.failed is None:
                try:
                    step()
                    if part.rebinds:
                        self._put_back(part)
                except Exception as error:  # e.g. a decomposition of what is not finite any more
                    part.failed = failures[part.replicas[0]] = f"{type(error).__name__}: {error}"
        return failures

    def _put_back(self, part: _Part) -> None:
        """Parameters that the optimizer has given other memory are copied to the stack, and are its rows again."""
        stacked = self.stack.trained()
        for (k, name), p in part.parameters.items():
            row = stacked[name].detach()[k]
            if p.data_ptr() != row.data_ptr() or p.stride() != row.stride():
                row.copy_(p.detach())
                p.data = row

    # ------------------------------------------------------------------------------------------ states as one

    def states(self) -> list[Any]:
        """The state of each optimizer, another object once it has been loaded."""
        return [part.optimizer.state for part in self.parts]

    def all_states(self) -> list[dict[str, Any]]:
        """Of each tensor of each optimizer."""
        return [own for part in self.parts for own in part.optimizer.state.values()]

    def groups_of_parameter(self, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Of each replica the group that a parameter is in, and its state; of elementwise optimizers."""
        found = []
        part_of = {k: part for part in self.parts for k in part.replicas}
        for k, single in enumerate(self.singles):
            part = part_of[k]
            number = next(number for number, names in enumerate(single.names) if name in names)
            group = part.optimizer.param_groups[part.groups[k][number]]
            found.append((group, part.optimizer.state.get(part.parameters[k, name]) or {}))
        return found

    def gathered(self, name: str, kinds: Sequence[str], like: Tensor) -> list[Tensor]:
        """What elementwise optimizers keep for a parameter, as one tensor (R, ...) of each kind.

        Their own states are views of these from then on. Replicas that ended before a checkpoint, and have no state
        since, get zeros: they reach nobody. Raises NoState where no replica has any yet.
        """
        if not kinds:
            return []
        made = [torch.zeros_like(like) for _ in kinds]
        firsts = [(k, part) for part in self.parts for k in part.replicas if part.rows[k] == 0]
        states = [(k, part.parameters[k, name], part.optimizer.state) for k, part in firsts]
        if not any(state.get(view) for _, view, state in states):
            raise NoState(name)
        for k, view, state in states:
            own = state[view]
            if not own and "exp_avg" in kinds:
                own["step"] = torch.tensor(0.0)
            for kind, whole in zip(kinds, made, strict=True):
                rows = whole[k : k + len(view)]
                own[kind] = rows.copy_(own[kind]) if isinstance(own.get(kind), Tensor) else rows
        self._steps = [FusedStep(part.optimizer) for part in self.parts]  # which knew the tensors of before
        return made

    # ------------------------------------------------------------------------------------------ evaluation

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(evaluation_weights(part.optimizer))
            yield

    def averaging(self) -> list[int]:
        """Replicas that evaluate with other weights than they train with."""
        return [
            k
            for part in self.parts
            for k in part.replicas
            if any("train_mode" in g for g in part.optimizer.param_groups)
        ]

    def groups_of(self, k: int) -> list[dict[str, Any]]:
        """The present options of the groups of replica k, as its single run has them."""
        part = next(part for part in self.parts if k in part.rows)
        return [part.optimizer.param_groups[number] for number in part.groups[k]]

    # ------------------------------------------------------------------------------------------ states

    def state_dicts(self) -> list[dict[str, Any]]:
        """What the optimizer of each single run would save."""
        states: list[dict[str, Any]] = [{} for _ in self.singles]
        for part in self.parts:
            if self._is_whole(part):
                states[part.replicas[0]] = part.optimizer.state_dict()
                continue
            for k in part.replicas:
                states[k] = self._extract(part, k)
        return states

    def _is_whole(self, part: _Part) -> bool:
        return len(part.replicas) == 1 and not part.schedules

    def _extract(self, part: _Part, k: int) -> dict[str, Any]:
        single, row = self.singles[k], part.rows[k]
        state: dict[int, Any] = {}
        groups = []
        count = 0
        for number, names in zip(part.groups[k], single.names, strict=True):
            group = {key: value for key, value in part.optimizer.param_groups[number].items() if key != "params"}
            groups.append({**group, "params": list(range(count, count + len(names)))})
            for name in names:
                parameter = part.parameters[k, name]
                if parameter in part.optimizer.state:
                    own = part.optimizer.state[parameter]
                    state[count] = {key: _row(value, parameter, row) for key, value in own.items()}
                count += 1
        return {"state": state, "param_groups": groups}

    def load_state_dicts(self, states: Sequence[dict[str, Any]], living: Sequence[int] | None = None) -> None:
        """The inverse of state_dicts.

        living: replicas that are trained; by default all. Another has the state of a living one in the same tensors,
            since a count of steps is of all their rows, or begins anew where there is none: it reaches nobody.
        """
        for part in self.parts:
            sources = {k: self._source(part, k, living) for k in part.replicas}
            if self._is_whole(part):
                if (source := sources[part.replicas[0]]) is not None:
                    part.optimizer.load_state_dict(states[source])
                continue
            merged: dict[str, Any] = {"state": {}, "param_groups": []}
            index: dict[int, int] = {}
            saved_groups: dict[int, dict[str, Any]] = {}
            for k, source in sources.items():
                if source is not None:
                    for number, group in zip(part.groups[k], states[source]["param_groups"], strict=True):
                        saved_groups.setdefault(number, group)
            for number, group in enumerate(part.optimizer.param_groups):
                for p in group["params"]:
                    index[id(p)] = len(index)
                numbers = [index[id(p)] for p in group["params"]]
                merged["param_groups"].append({**saved_groups.get(number, group), "params": numbers})
            shares: dict[int, list[dict[str, Any]]] = {}
            for k in sorted(part.replicas):
                source = sources[k]
                saved = {} if source is None else states[source]["state"]
                names = [name for group in self.singles[k].names for name in group]
                for count, name in enumerate(names):
                    if count in saved:
                        number = index[id(part.parameters[k, name])]
                        shares.setdefault(number, []).append(saved[count])
            by_number = {index[id(p)]: p for p in part.parameters.values()}
            for number, own in shares.items():
                shape = by_number[number].shape[1:]
                merged["state"][number] = _stack_states(own, shape) if part.elementwise else own[0]
            part.optimizer.load_state_dict(merged)

    def _source(self, part: _Part, k: int, living: Sequence[int] | None) -> int | None:
        """The replica whose state replica k of a part goes on with."""
        beside = [k, *(other for other in part.replicas if part.groups[other] == part.groups[k])]
        return next((other for other in beside if living is None or other in living), None)


def _kind(single: _Single) -> str:
    if single.arguments.get("pre_norm") or any(group.get("adanorm") for group in single.options):
        return "whole"  # options of the library that take a norm of all gradients
    module = "torch.optim" if single.cls.__module__.startswith("torch.optim.") else single.cls.__module__
    name = f"{module}.{single.cls.__qualname__}"
    return "elementwise" if name in ELEMENTWISE else "per tensor" if name in PER_TENSOR else "whole"


def _single(optimizer: Optimizer, network: nn.Module) -> _Single:
    names = {id(p): name for name, p in network.named_parameters()}
    known = {**vars(optimizer), **optimizer.defaults}
    return _Single(
        cls=type(optimizer),
        options=[{key: value for key, value in g.items() if key != "params"} for g in optimizer.param_groups],
        names=[[names[id(p)] for p in group["params"]] for group in optimizer.param_groups],
        arguments={key: known[key] for key in inspect.signature(type(optimizer)).parameters if key in known},
    )


def _begins(target: list[nn.Parameter] | nn.Parameter, grad: Tensor) -> bool:
    """Whether the gradient of the first replicas lies where all of them begin."""
    held = (target[0] if isinstance(target, list) else target).grad
    return held is not None and held.data_ptr() == grad.data_ptr()


def _row(value: Any, parameter: Tensor, row: int | None) -> Any:
    """The share of one replica in a value of an optimizer's state."""
    if not isinstance(value, Tensor):
        return value
    return (value[row] if row is not None and value.shape == parameter.shape else value).clone()


def _stack_states(states: Sequence[dict[str, Any]], shape: torch.Size) -> dict[str, Any]:
    """States of replicas as one; what is not of the parameters' shape (a count of steps) is the same for all."""

    def together(key: str) -> Any:
        value = states[0][key]
        if isinstance(value, Tensor) and value.shape == shape and key != "step":
            return torch.stack([state[key] for state in states])
        return value

    return {key: together(key) for key in states[0]}
