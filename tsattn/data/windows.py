"""Windows as index views: (series, cut) pairs, gathered per batch on the device that holds the panel.

This is the only step from array to tensor. A cut is the row of the first target within its series, so the context
is the rows before it and the target the rows from it on. Letters: B batch, L context, H horizon, V variates, C features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tsattn.data.panel import Panel


class PanelTensors(NamedTuple):
    """A panel as tensors on one device. Series s is `values[begin[s]:end[s]]`; a view of fewer rows has an earlier end."""

    values: Float[Tensor, "T V"]  # missing values are NaN
    begin: Int[Tensor, " S"]
    end: Int[Tensor, " S"]
    start: Int[Tensor, " S"]  # calendar row of the first row
    calendar: Float[Tensor, "U K"]
    covariates: Float[Tensor, "W F"]
    covariate_start: Int[Tensor, " S"]
    known_ahead: Bool[Tensor, " F"]

    def to(self, device: torch.device | str) -> PanelTensors:
        return PanelTensors(*(part.to(device) for part in self))


class Batch(NamedTuple):
    """Windows ready for a model. Unobserved places hold 0 in `context` and `target`."""

    context: Float[Tensor, "B L V"]
    observed: Bool[Tensor, "B L V"]
    features: Float[Tensor, "B LH C"] | None  # of context and horizon; None when there are none
    target: Float[Tensor, "B H V"]
    target_observed: Bool[Tensor, "B H V"]

    def to(self, device: torch.device) -> Batch:
        """On this device; to a GPU from pinned memory, so that nothing waits."""
        parts = (part.pin_memory() if part is not None and device.type == "cuda" else part for part in self)
        return Batch(*(None if part is None else part.to(device, non_blocking=True) for part in parts))  # pyright: ignore


class Windows(NamedTuple):
    """All cuts `first[s] .. first[s] + count[s] - 1` of every series, numbered 0 .. len - 1 without being listed."""

    first: np.ndarray  # [S] int64
    cumulative: np.ndarray  # [S + 1] int64, windows before series s

    @property
    def total(self) -> int:
        return int(self.cumulative[-1])

    def locate(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Series and cut of window `number`, both of its shape."""
        series = np.searchsorted(self.cumulative, number, side="right") - 1
        return series, self.first[series] + number - self.cumulative[series]


def panel_tensors(panel: Panel, last: np.ndarray | None = None) -> PanelTensors:
    """The panel on the CPU, sharing the memory of its arrays; `last` [S] ends each series after so many of its rows."""
    end = panel.indptr[1:] if last is None else panel.indptr[:-1] + last
    return PanelTensors(
        torch.from_numpy(panel.values),
        torch.from_numpy(panel.indptr[:-1]),
        torch.from_numpy(end),
        torch.from_numpy(panel.start),
        torch.from_numpy(panel.calendar),
        torch.from_numpy(panel.covariates),
        torch.from_numpy(np.zeros_like(panel.start) if panel.covariate_start is None else panel.covariate_start),
        torch.from_numpy(panel.known_ahead),
    )


def windows_between(first: np.ndarray, last: np.ndarray) -> Windows:
    """The windows whose cut lies in `first[s] <= cut <= last[s]`, [S] each."""
    count = np.maximum(last - first + 1, 0)
    return Windows(first=first, cumulative=np.concatenate([[0], np.cumsum(count)]))


class DateWindows(NamedTuple):
    """Windows of all series together: window k cuts every series at the same date, `first + k` rows after the earliest row."""

    first: int
    total: int
    offset: np.ndarray  # [S] rows between the earliest row of all and the first row of the series

    def locate(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Series and cut, [n, S] each; a cut before the first row of a series is a window without values."""
        cut = self.first + number[:, None] - self.offset
        return np.broadcast_to(np.arange(len(self.offset)), cut.shape).copy(), cut


def dates_between(first: np.ndarray, last: np.ndarray, offset: np.ndarray) -> DateWindows:
    """The dates at which any series has a cut in `first[s] <= cut <= last[s]`."""
    some = last >= first
    earliest = int((first + offset)[some].min(initial=0 if not some.any() else np.iinfo(np.int64).max))
    latest = int((last + offset)[some].max(initial=-1))
    return DateWindows(earliest, max(latest - earliest + 1, 0), offset)


def gather(
    panel: PanelTensors,
    series: Int[Tensor, " *BV"],
    cut: Int[Tensor, " *BV"],
    *,
    context_length: int,
    horizon: int,
) -> Batch:
    """Cut windows out of the panel, on its device, without a copy per window beyond the batch itself.

    Places before the first or after the last row of a series are unobserved, like missing values. So are the targets of a
    variate whose context holds no value: nothing tells their scale. The calendar must reach `horizon` rows beyond the last cut.
    With `series` and `cut` of shape [B, V] the series of a row are the variates of one window; its features are those of its
    first series.
    """
    steps = torch.arange(-context_length, horizon, device=cut.device)
    rows = cut[..., None] + steps  # within the series
    begin, end = panel.begin[series][..., None], panel.end[series][..., None]
    inside = (rows >= 0) & (rows < end - begin)
    flat = (begin + rows).clamp(0, max(len(panel.values) - 1, 0))
    values = panel.values[flat]
    observed = inside[..., None] & ~values.isnan()
    values = torch.where(observed, values, 0.0)
    if series.ndim == 2:
        values, observed = (rearrange(part, "b v t 1 -> b t v") for part in (values, observed))
        series, rows = series[:, 0], rows[:, 0]
    seen, target = observed[:, :context_length], values[:, context_length:]
    target_observed = observed[:, context_length:] & seen.any(1, keepdim=True)
    features = features_of(panel, series, rows, steps)
    return Batch(values[:, :context_length], seen, features, torch.where(target_observed, target, 0.0), target_observed)


def features_of(
    panel: PanelTensors, series: Int[Tensor, " B"], rows: Int[Tensor, "B LH"], steps: Int[Tensor, " LH"]
) -> Float[Tensor, "B LH C"] | None:
    """Calendar and covariates at these rows of the series; 0 for what is not known ahead after the cut (`steps` >= 0)."""
    parts = []
    if panel.calendar.shape[1]:
        parts.append(panel.calendar[(panel.start[series][:, None] + rows).clamp(0, len(panel.calendar) - 1)])
    if panel.covariates.shape[1]:
        known = panel.covariates[(panel.covariate_start[series][:, None] + rows).clamp(0, len(panel.covariates) - 1)]
        seen = (rows >= 0)[..., None] & ((steps < 0)[:, None] | panel.known_ahead)
        parts.append(torch.where(seen, known, 0.0))
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts, dim=-1) if parts else None


def features_at_end(panel: Panel, context_length: int, horizon: int) -> np.ndarray | None:
    """`features_of` the last rows of each series and the steps after them: [S, L + H, C], None without any."""
    tensors, steps = panel_tensors(panel), torch.arange(-context_length, horizon)
    rows = (tensors.end - tensors.begin)[:, None] + steps
    features = features_of(tensors, torch.arange(len(rows)), rows, steps)
    return None if features is None else features.numpy()
