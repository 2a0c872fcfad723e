"""The Lightning module: one training step is gather -> model -> loss, all on the device that holds the panel.

A panel that does not fit there stays on the CPU: batches are gathered there and sent.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tsattn.config import TrainerConfig
from tsattn.data.windows import Batch, PanelTensors, gather

PHASES = ("data", "forward", "backward", "optimizer", "validation")


class ForecastModule(pl.LightningModule):
    """Trains `model` (see `tsattn.models`) on windows (series, cut) of a panel that lives on the device as buffers, or, when it
    is `streamed`, on the CPU.
    """

    model: Any  # nn.Module with a head: see tsattn.models
    first_bad_step: Tensor  # -1 while every loss and gradient was finite

    def __init__(
        self,
        model: nn.Module,
        panel: PanelTensors,
        config: TrainerConfig,
        *,
        context_length: int,
        horizon: int,
        streamed: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        self.context_length = context_length
        self.horizon = horizon
        self.streamed = panel if streamed else None
        for name, part in panel._asdict().items() if not streamed else ():
            self.register_buffer(f"panel_{name}", part, persistent=False)
        self.register_buffer("first_bad_step", torch.tensor(-1), persistent=False)
        self.seconds: dict[str, float] = defaultdict(float)
        self.clock = time.perf_counter()

    @property
    def panel(self) -> PanelTensors:
        if self.streamed is not None:
            return self.streamed
        return PanelTensors(*(getattr(self, f"panel_{name}") for name in PanelTensors._fields))

    def lap(self, phase: str) -> None:
        """Book the seconds since the last call under `phase` (host time: on a GPU the queueing, not the computing)."""
        now = time.perf_counter()
        self.seconds[phase] += now - self.clock
        self.clock = now

    def gather(self, windows: tuple[Int[Tensor, " *BV"], Int[Tensor, " *BV"]], panel: PanelTensors) -> Batch:
        """The windows (series, cut) of `panel`, on the device of the model."""
        batch = gather(panel, *windows, context_length=self.context_length, horizon=self.horizon)
        return batch if self.streamed is None else batch.to(self.device)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Series and cuts go where the panel is."""
        return batch if self.streamed is not None else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Mean loss of the observed targets, which a model with a `forward_training` is shown while it trains."""
        given = (batch.context, batch.observed, batch.features)
        if self.model.training and hasattr(self.model, "forward_training"):
            raw, scale = self.model.forward_training(*given, batch.target, batch.target_observed)
        else:
            raw, scale = self.model(*given, self.horizon)
        return self.model.head.loss(raw, batch.target, batch.target_observed, scale)

    def on_train_start(self) -> None:
        """Lightning leaves the model in the mode it came in, which for a network that was just built is evaluation."""
        self.model.train()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.lap("data")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Float[Tensor, ""]:
        windows = self.gather(batch, self.panel)
        self.lap("data")
        loss = self.loss(windows)
        bad = ~torch.isfinite(loss.detach()) & (self.first_bad_step < 0)
        self.first_bad_step.copy_(torch.where(bad, self.global_step, self.first_bad_step))
        self.lap("forward")
        return loss

    def on_after_backward(self) -> None:
        self.lap("backward")

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm, and note on the device the first step whose gradient is not finite: no synchronisation here."""
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        bad = ~torch.isfinite(norm) & (self.first_bad_step < 0)
        self.first_bad_step.copy_(torch.where(bad, self.global_step, self.first_bad_step))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.lap("optimizer")

    def configure_optimizers(self) -> Any:
        """AdamW, weight decay on matrices only; linear warm-up, then half a cosine down to a tenth."""
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": self.settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.98), fused=True)
        warmup, total = self.settings.warmup_steps, self.settings.max_steps

        def factor(step: int) -> float:
            done = min(max(step - warmup, 0) / max(total - warmup, 1), 1.0)
            return min(1.0, (step + 1) / max(warmup, 1)) * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
