"""One step of the optimizer: forward, backward, update, whatever memory allows."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cnnaudit.errors import TrainingError
from cnnaudit.memory import is_out_of_memory
from cnnaudit.training.batches import parts
from cnnaudit.training.precision import autocast


class Stepper:
    """Makes the steps of one training.

    A batch that does not fit into memory is halved until it does, here and in all steps to come; the
    gradients of its parts are summed with their weights, so that the step is the one of the whole batch
    (batch normalisation excepted, which sees the parts).

    Args:
        dtype: that forward and backward passes run in.
        said: called once with a sentence when a batch had to be divided.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        device: torch.device,
        dtype: torch.dtype,
        label_smoothing: float,
        said: Callable[[str], None],
    ) -> None:
        self.network, self.optimizer, self.dtype = network, optimizer, dtype
        self.largest: int | None = None
        self.scaler = torch.GradScaler(device.type, enabled=dtype == torch.float16)
        self._device, self._smoothing, self._said = device, label_smoothing, said
        normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
        self._smallest = 2 if normed else 1  # batch norm has no variance of one picture

    def step(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights from one batch of normalised pictures; mean loss and count of right answers, as tensors.

        Raises:
            TrainingError: not even one picture fits into memory, or two where there is batch norm.
        """
        while True:
            try:
                found = self._gradients(inputs, labels)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(len(labels))  # outside the handler, whose traceback holds on to the tensors
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return found

    def _gradients(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad()
        size = self.largest or len(labels)
        if size >= len(labels):
            return self._part(inputs, labels, 1.0)
        losses, rights = [], []
        sizes = parts(len(labels), size)
        for part, known in zip(inputs.split(sizes), labels.split(sizes), strict=True):
            loss, right = self._part(part, known, len(known) / len(labels))
            losses.append(loss * (len(known) / len(labels)))
            rights.append(right)
        return torch.stack(losses).sum(), torch.stack(rights).sum()

    def _part(self, inputs: Tensor, labels: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        with autocast(self._device, self.dtype):
            logits = self.network(inputs)
        logits = logits.float()
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        self.scaler.scale(loss * weight if weight < 1 else loss).backward()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def _halve(self, batch: int) -> None:
        size = min(self.largest or batch, batch)
        if size <= self._smallest:
            what = "one picture fits" if size == 1 else "two pictures, the fewest that batch norm takes, fit"
            raise TrainingError(
                f"Not even {what} into the memory of {self._device}. "
                "Give a smaller --input-size, a smaller network or another --device."
            )
        self.optimizer.zero_grad()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.largest is None:
            self._said(
                f"memory is short: batches of {batch} are worked in parts, and their gradients summed to the same step"
            )
        self.largest = (size + 1) // 2
