"""Shampoo with a state that can be saved."""

from __future__ import annotations

from typing import Any

from pytorch_optimizer import ScalableShampoo
from torch import Tensor


class Shampoo(ScalableShampoo):
    r"""$W \leftarrow W - \eta\, L^{-1/4} G R^{-1/4}$ with L, R moving averages of $G G^\top$, $G^\top G$.

    In blocks, and with the length of the step taken from gradient descent (grafting). A kernel of k axes has a
    preconditioner for each of them, to the power -1/(2k) (algorithm 2 of the paper). Vectors have none: they take the
    step of gradient descent with the same momentum.

    shape_interpretation: the library's default, true, first merges neighbouring axes while their product is at most
        block_size. Tensors of up to block_size entries become vectors by it, and lose their preconditioners.

    The library keeps its preconditioners as objects of its own, which torch.load(weights_only=True) refuses
    and load_state_dict() would share between two optimizers. Here a state dict holds their tensors, and the
    objects are built anew around them at the first step after loading.

    Source: Gupta, Koren & Singer 2018, arXiv:1802.09568; Anil et al. 2020, arXiv:2002.09018.
    """

    def state_dict(self) -> dict[str, Any]:
        content = super().state_dict()
        content["state"] = {
            index: {key: value if isinstance(value, Tensor | dict) else _tensors(value) for key, value in state.items()}
            for index, state in content["state"].items()
        }
        return content

    def init_group(self, group: dict[str, Any], **kwargs: Any) -> None:
        loaded = {
            p: self.state.pop(p)
            for p in group["params"]
            if p.grad is not None and isinstance(self.state.get(p, {}).get("graft"), dict)
        }
        super().init_group(group, **kwargs)
        for p, saved in loaded.items():
            state = self.state[p]
            state["momentum"] = saved["momentum"]
            for key in ("pre_conditioner", "graft"):
                vars(state[key]).update(saved[key])


def _tensors(value: object) -> dict[str, Any]:
    """The attributes of an object that are tensors or lists of tensors."""
    return {
        name: attribute
        for name, attribute in vars(value).items()
        if isinstance(attribute, Tensor)
        or (isinstance(attribute, list) and all(isinstance(item, Tensor) for item in attribute))
    }
