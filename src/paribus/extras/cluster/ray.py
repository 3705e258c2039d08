"""Tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.extras.cluster.remote import Order, Returned


class Tasks:
    """Sends each order as a Ray task, which asks for as many GPUs and CPUs as its runs need.

    init: arguments of ray.init. remote: options of the tasks. retries: of a task whose machine or process died.

    Raises UserError where there is no Ray or its cluster can't be reached.
    """

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any], retries: int):
        try:
            import ray
        except ImportError as error:
            raise UserError(f"this launcher needs Ray ({error}): pip install 'paribus[ray]'") from error
        self.ray = ray
        if not ray.is_initialized():
            try:
                ray.init(**init)
            except (ConnectionError, ValueError, TypeError, RuntimeError) as error:
                raise UserError(
                    f"hydra.launcher.init={dict(init)}: {error}. Use address=null to start a cluster on this machine"
                ) from error
        # A process of its own for each task: what one run leaves in torch must not reach the next.
        self.task = ray.remote(max_calls=1, max_retries=retries)(run_order)
        self.options = dict(remote)

    def __call__(self, orders: Sequence[Order]) -> list[Task]:
        return [Task(self.ray, self.task.options(**self.resources(order)).remote(order)) for order in orders]

    def resources(self, order: Order) -> dict[str, Any]:
        """What a run needs, unless `remote` says otherwise. Raises UserError for a run of several machines."""
        if order.nodes > 1:
            raise UserError(
                f"trainer.num_nodes={order.nodes} needs SLURM (hydra/launcher=submitit_slurm), or by hand `paribus "
                "node`; a task of Ray has one machine"
            )
        needed = {"num_cpus": order.cpus, **({"num_gpus": order.devices} if order.on_gpu else {})}
        return {**needed, **self.options}


def run_order(order: Order) -> list[Returned]:
    return order()


class Task:
    """A Ticket for a task of Ray."""

    def __init__(self, ray: Any, reference: Any):
        self.ray = ray
        self.reference = reference

    def ended(self) -> bool:
        return bool(self.ray.wait([self.reference], timeout=0)[0])

    def result(self) -> list[Returned]:
        result: list[Returned] = self.ray.get(self.reference)
        return result

    def cancel(self) -> None:
        self.ray.cancel(self.reference, force=True)
