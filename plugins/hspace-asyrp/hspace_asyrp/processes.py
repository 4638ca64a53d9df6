"""Training in several processes at once: whose part is what, and what is added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hspace import processes


@dataclass(frozen=True)
class Processes:
    """This process, the `index`th of `count`."""

    index: int = 0
    count: int = 1

    @classmethod
    def joined(cls, device: torch.device) -> Processes:
        """This process, in touch with those that were launched with it; alone where none were."""
        if processes.count() == 1:
            return cls()
        from accelerate import PartialState

        state = PartialState(cpu=device.type == "cpu")
        return cls(state.process_index, state.num_processes)

    def share(self, batch: Tensor) -> tuple[Tensor, float]:
        """This process's part of a batch, and how much of the batch it is; 0 where it has to borrow a picture."""
        part = batch[self.index :: self.count]
        return (part, len(part) / len(batch)) if len(part) else (batch[:1], 0.0)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of what all processes have, the same in each."""
        if self.count == 1:
            return tensor
        from accelerate.utils import reduce

        total: Tensor = reduce(tensor, "sum")
        return total

    def from_main(self, numbers: Sequence[int], device: torch.device) -> tuple[int, ...]:
        """The main process's numbers, in each; what the others have is of no account but for how many they are."""
        mine = torch.tensor(numbers, dtype=torch.int64, device=device) * (self.index == 0)
        return tuple(int(number) for number in self.sum(mine).tolist())

    def sum_gradients(self, module: nn.Module) -> None:
        """Adds up the gradients of the processes."""
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = self.sum(parameter.grad)

    def whole(self, part: Tensor, places: Tensor, n: int) -> Tensor:
        """(S, n, ...) from what all processes have: (S, m, ...), which belongs at the `places` (m,)."""
        if self.count == 1:
            return part
        empty = part.new_zeros(len(part), n, *part.shape[2:])
        return self.sum(empty.index_copy_(1, places.to(part.device), part[:, : len(places)]))
