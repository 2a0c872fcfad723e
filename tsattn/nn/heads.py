"""Heads: from future tokens to a distribution per step. A head owns its loss and its quantiles.

Each head gives raw outputs [B, H, V, R]; `loss` compares them with targets in the units of the series, `quantiles` and
`mean` answer in these units. `calibrate` sets the head's buffers from held-out windows.
Letters: B batch, H horizon, V variates, R raw numbers per step, Q quantile levels, N future tokens, P patch length, D width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.nn.scaling import Scale, from_scaled, to_scaled

SHRINKAGE = 50  # held-out points at which a measured widening counts half (on the log scale)


class Head(nn.Module):
    """A linear map from each future token to R numbers for each of its P steps.

    One of them is the location of the distribution: what is added to raw number `location` moves every quantile. With a
    `d_model` of None there is no map: a model without tokens makes the R = `num_raw` numbers itself.
    """

    location = 0

    def __init__(self, d_model: int | None, patch_length: int, num_raw: int, levels: list[float]) -> None:
        super().__init__()
        self.patch_length = patch_length
        self.num_raw = num_raw
        self.levels = list(levels)
        self.middle = self.levels.index(0.5)
        self.linear = None
        if d_model is not None:
            self.linear = nn.Linear(d_model, patch_length * num_raw)
            nn.init.normal_(self.linear.weight, std=0.02)
            nn.init.zeros_(self.linear.bias)

    def forward(self, tokens: Float[Tensor, "B V N D"]) -> Float[Tensor, "B H V R"]:
        if self.linear is None:
            raise ValueError("this head was made without a width: it has no map from tokens")
        return rearrange(self.linear(tokens), "b v n (p r) -> b (n p) v r", p=self.patch_length)

    def loss(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> Float[Tensor, ""]:
        """Mean over the observed targets."""
        raise NotImplementedError

    def quantiles(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V Q"]:
        """Quantiles at `self.levels`, non-decreasing, in units of the series, float64."""
        raise NotImplementedError

    def mean(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        """Expected value in units of the series, float64."""
        raise NotImplementedError

    def answer(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> tuple[Float[Tensor, "B H V"], Float[Tensor, "B H V Q"]]:
        """`mean` and `quantiles`."""
        return self.mean(raw, scale), self.quantiles(raw, scale)

    def centre(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        """Where the distribution lies, in scaled units: its median, or what stands in for it. Calibration does not move it."""
        return raw[..., self.location]

    def calibrate(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> None:
        """Set the buffers from held-out windows, in place."""
        raise NotImplementedError


class WidenedHead(Head):
    """A head whose quantiles are spread around the median by one factor, measured on held-out windows."""

    widening: Tensor

    def __init__(self, d_model: int | None, patch_length: int, num_raw: int, levels: list[float]) -> None:
        super().__init__(d_model, patch_length, num_raw, levels)
        self.register_buffer("widening", torch.ones((), dtype=torch.float64))

    def spread(self, quantiles: Float[Tensor, "B H V Q"]) -> Float[Tensor, "B H V Q"]:
        """median + widening (q - median)."""
        median = quantiles[..., self.middle, None]
        return median + self.widening * (quantiles - median)

    @torch.no_grad()
    def calibrate(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> None:
        """The factor with which the outermost interval covers its share of the held-out points.

        Conformalised quantile regression (Romano et al. 2019) in its multiplicative form, (y - median) / (upper - median) being
        the score; shrunk towards 1 on few points and kept within 1/2 .. 3.
        """
        self.widening.fill_(1.0)
        if not self.levels[0] < 0.5 < self.levels[-1]:
            return
        share = round(self.levels[-1] - self.levels[0], 6)  # 0.8 - 0.2 is 0.6000000000000001
        quantiles = self.quantiles(raw, scale)[observed]  # [n, Q]
        if not len(quantiles):
            return
        y, median = target[observed].double(), quantiles[:, self.middle]
        side = torch.where(y > median, quantiles[:, -1] - median, median - quantiles[:, 0])
        score = (y - median).abs() / side.clamp(min=1e-12)
        num = len(score)
        factor = float(score.kthvalue(min(math.ceil((num + 1) * share), num)).values)
        self.widening.fill_(min(max(factor, 0.5), 3.0) ** (num / (num + SHRINKAGE)))


class QuantileHead(WidenedHead):
    """Quantiles that cannot cross: a median and positive distances outwards, summed. Pinball loss (Koenker & Bassett 1978)."""

    def __init__(self, d_model: int | None, patch_length: int, levels: list[float]) -> None:
        super().__init__(d_model, patch_length, len(levels), levels)
        self.location = self.middle
        self.register_buffer("level_values", torch.tensor(levels, dtype=torch.float32), persistent=False)

    def scaled_quantiles(self, raw: Float[Tensor, "B H V R"]) -> Float[Tensor, "B H V Q"]:
        """q_m = raw_m; above it q_i = q_{i-1} + softplus(raw_i - 1), below it the mirror image; in scaled units."""
        step = F.softplus(raw - 1.0)
        median = raw[..., self.middle, None]
        above = median + step[..., self.middle + 1 :].cumsum(-1)
        below = median - step[..., : self.middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], dim=-1)

    def loss(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> Float[Tensor, ""]:
        """2 max(q e, (q - 1) e) with e = target - quantile, in scaled units: for the median the absolute error."""
        error = to_scaled(target, scale)[..., None] - self.scaled_quantiles(raw.float())
        level: Tensor = self.level_values  # pyright: ignore[reportAssignmentType]
        return masked_mean(2 * torch.maximum(level * error, (level - 1) * error).mean(-1), observed)

    def quantiles(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V Q"]:
        quantiles = from_scaled(self.scaled_quantiles(raw.float()), scale)
        return self.spread(quantiles.cummax(-1).values)  # sinh of equal numbers may differ in its last bit

    def mean(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        """Integral of the quantile function, linear between the levels and constant beyond the outermost."""
        return self.answer(raw, scale)[0]

    def answer(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> tuple[Float[Tensor, "B H V"], Float[Tensor, "B H V Q"]]:
        quantiles = self.quantiles(raw, scale)
        return quantiles @ quantile_weights(self.levels).to(raw.device), quantiles


class NegativeBinomialHead(WidenedHead):
    """Counts y = 0, 1, 2 ... with mean m and variance m + a m^2 (DeepAR, Salinas et al. 2020, section 3.1). Loss: -log p(y)."""

    def __init__(self, d_model: int | None, patch_length: int, levels: list[float]) -> None:
        super().__init__(d_model, patch_length, 2, levels)

    def parameters_of(
        self, raw: Float[Tensor, "B H V R"], scale: Scale
    ) -> tuple[Float[Tensor, "B H V"], Float[Tensor, "B H V"]]:
        """Mean m > 0 and dispersion a > 0, float64."""
        mean = self.positive(raw[..., 0], scale)
        return mean.clamp(min=1e-6), F.softplus(raw[..., 1].double() - 1.5).clamp(min=1e-6)

    def positive(self, z: Float[Tensor, "B H V"], scale: Scale) -> Float[Tensor, "B H V"]:
        """z in units of the series, float64, bent to stay positive."""
        return scale.scale * F.softplus(from_scaled(z, scale) / scale.scale, beta=4.0)

    def loss(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> Float[Tensor, ""]:
        mean, dispersion = self.parameters_of(raw, scale)
        y = target.where(observed, 0.0).double()  # NaN would reach the gradients even where it is masked
        return masked_mean(negative_binomial_nll(y, mean, dispersion).float(), observed)

    def quantiles(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V Q"]:
        """The smallest k with P(Y <= k) >= level, spread around the median to the nearest whole numbers and never below 0."""
        mean, dispersion = (part.detach().cpu().numpy() for part in self.parameters_of(raw, scale))
        exact = torch.from_numpy(negative_binomial_quantiles(mean, dispersion, self.levels)).to(raw.device)
        return self.spread(exact).round().clamp(min=0)

    def mean(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        return self.parameters_of(raw, scale)[0]

    def centre(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        """The mean, whose gradient is known; the median is a whole number. In tiny units its floor would be huge."""
        return to_scaled(self.positive(raw[..., 0], scale), scale)


class PointHead(Head):
    """One number per step; its intervals are the errors it made on held-out windows. Loss: MAE, MSE or Huber."""

    residuals: Tensor

    def __init__(self, d_model: int | None, patch_length: int, levels: list[float], kind: str = "mae") -> None:
        super().__init__(d_model, patch_length, 1, levels)
        self.kind = kind
        self.register_buffer("residuals", torch.zeros(len(levels), dtype=torch.float64))

    def loss(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> Float[Tensor, ""]:
        losses = {"mae": F.l1_loss, "mse": F.mse_loss, "huber": F.huber_loss}
        z = to_scaled(target.where(observed, 0.0), scale)  # NaN would reach the gradients even where it is masked
        return masked_mean(losses[self.kind](raw[..., 0].float(), z, reduction="none"), observed)

    def quantiles(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V Q"]:
        return from_scaled(raw.double() + self.residuals, scale).cummax(-1).values  # as in QuantileHead

    def mean(self, raw: Float[Tensor, "B H V R"], scale: Scale) -> Float[Tensor, "B H V"]:
        return from_scaled(raw[..., 0], scale)

    @torch.no_grad()
    def calibrate(
        self, raw: Float[Tensor, "B H V R"], target: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"], scale: Scale
    ) -> None:
        """Quantiles of the held-out errors in scaled units; the median stays where the point is."""
        error = (to_scaled(target, scale).double() - raw[..., 0].double())[observed]
        if len(error) > 1:
            levels = torch.tensor(self.levels, dtype=torch.float64, device=error.device)
            quantiles = torch.quantile(error[:: max(1, len(error) // 1_000_000)], levels)
            self.residuals.copy_(quantiles - quantiles[self.middle])


def masked_mean(x: Float[Tensor, "B H V"], observed: Bool[Tensor, "B H V"]) -> Float[Tensor, ""]:
    """Mean over the observed places, 0 where there are none: sums and counts are added and divided once."""
    return torch.where(observed, x, 0.0).sum() / observed.sum().clamp(min=1)


def quantile_weights(levels: list[float]) -> Float[Tensor, " Q"]:
    """Weights w, mean = sum_i w_i q_i, of a quantile function linear between the levels, constant outside; they sum to 1."""
    edges = torch.tensor([0.0, *levels, 1.0], dtype=torch.float64)
    gaps = edges.diff()
    weights = (gaps[:-1] + gaps[1:]) / 2
    weights[0] += gaps[0] / 2
    weights[-1] += gaps[-1] / 2
    return weights


def negative_binomial_nll(
    y: Float[Tensor, "B H V"], mean: Float[Tensor, "B H V"], dispersion: Float[Tensor, "B H V"]
) -> Float[Tensor, "B H V"]:
    """-log p(y), p(y) = Gamma(y + r) / (Gamma(y + 1) Gamma(r)) (r / (r + m))^r (m / (r + m))^y with r = 1 / a."""
    r = 1 / dispersion
    log_p = torch.lgamma(y + r) - torch.lgamma(y + 1) - torch.lgamma(r)
    return -(log_p - r * torch.log1p(mean * dispersion) + y * (mean.log() - (r + mean).log()))


def negative_binomial_quantiles(mean: np.ndarray, dispersion: np.ndarray, levels: list[float]) -> np.ndarray:
    """Smallest whole k with P(Y <= k) >= level, [..., Q] float64, by bisection on P(Y <= k) = I_{r/(r+m)}(r, k + 1).

    It lies above -1 and, by Cantelli's inequality, no more than sqrt(level / (1 - level)) standard deviations above the mean.
    """
    from scipy.special import betainc  # 0.1 s, needed here only

    mean, r = mean[..., None], 1 / dispersion[..., None]
    level = np.asarray(levels)
    deviation = np.sqrt(mean + mean**2 / r)
    high = np.ceil(mean + np.sqrt(level / (1 - level)) * deviation)
    low = np.full_like(high, -1.0)
    for _ in range(math.ceil(np.log2(np.max(high - low, initial=1.0)))):
        middle = np.floor((low + high) / 2)
        reached = (betainc(r, middle + 1, r / (r + mean)) >= level) & (middle > low)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high


def make_head(kind: str, *, d_model: int | None, patch_length: int, levels: list[float], point_loss: str = "mae") -> Head:
    """The head of that name: quantile, negative_binomial or point."""
    if kind == "quantile":
        return QuantileHead(d_model, patch_length, levels)
    if kind == "negative_binomial":
        return NegativeBinomialHead(d_model, patch_length, levels)
    if kind == "point":
        return PointHead(d_model, patch_length, levels, point_loss)
    raise ValueError(f"head={kind!r} must be decided before the model is built: quantile, negative_binomial or point")
