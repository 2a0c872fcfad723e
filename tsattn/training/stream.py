"""Which windows make a batch: drawn for training, in order for validation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from tsattn.data.windows import DateWindows, PanelTensors, Windows, gather

VALIDATION_BATCH = 512


class BatchStream(IterableDataset):
    """Batches of windows; batch k is a function of (seed, k) alone.

    Windows are drawn uniformly, or, with `chances` [S] that add up to 1, first the series and then one of its windows.
    """

    start, parts = 0, 1  # the step to begin with, and into how many parts each batch is cut

    def __init__(self, windows: Windows | DateWindows, batch_size: int, seed: int, chances: np.ndarray | None = None) -> None:
        self.windows, self.batch_size, self.seed, self.chances = windows, batch_size, seed, chances

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng([self.seed, step])
        if self.chances is None:
            number = generator.integers(self.windows.total, size=self.batch_size)
        else:
            series = generator.choice(len(self.chances), size=self.batch_size, p=self.chances)
            cumulative = self.windows.cumulative  # pyright: ignore[reportAttributeAccessIssue]
            number = generator.integers(cumulative[series], cumulative[series + 1])
        series, cut = self.windows.locate(number)
        return torch.from_numpy(series), torch.from_numpy(cut)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for step in itertools.count(self.start):
            yield from zip(*(part.tensor_split(self.parts) for part in self.batch(step)), strict=True)


def chances_of(windows: Windows | DateWindows, sampling: str, weights: np.ndarray | None) -> np.ndarray | None:
    """The chance of each series [S], proportional to its weight and, with sampling=window, its number of windows.

    None: all windows alike. A series without a window is never drawn.
    """
    if isinstance(windows, DateWindows) or (sampling == "window" and weights is None):
        return None
    count = np.diff(windows.cumulative)
    share = np.where(count > 0, 1.0 if weights is None else weights, 0.0) * (count if sampling == "window" else 1)
    return share / share.sum()


def as_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The batch untouched: the stream already gives tensors."""
    return batch


def default_batch_size(num_windows: int) -> int:
    """A power of two, about an eighth of the windows, 16 at least and 128 at most."""
    return int(2 ** np.clip(np.round(np.log2(max(num_windows, 1) / 8)), 4, 7))


def validation_batches(series: np.ndarray, cut: np.ndarray, size: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """The windows in batches; the last one may be smaller and counts by its size."""
    parts = (torch.from_numpy(numbers).split(size or VALIDATION_BATCH) for numbers in (series, cut))
    return list(zip(*parts, strict=True))


def any_target(panel: PanelTensors, batches: list[tuple[Tensor, Tensor]], context_length: int, horizon: int) -> bool:
    """Whether any target of these windows is observed."""
    batches = [batch for batch in batches if len(batch[0])]
    lengths = {"context_length": context_length, "horizon": horizon}
    return any(bool(gather(panel, *batch, **lengths).target_observed.any()) for batch in batches)
