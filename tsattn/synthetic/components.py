"""What series are made of: seasons, trends, smooth curves and noise, each about as large as 1. Letters: B series, T rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from tsattn.synthetic.draws import (
    chance,
    choose,
    dtype_of,
    log_normal,
    log_uniform,
    normal,
    pick,
    rows,
    standardized,
    uniform,
)

# a period in rows, the longer one that goes with it, how often the pair is drawn, and how often in a series of 500 rows and
# more, which is seldom a monthly or quarterly one: yearly to half-hourly data
PERIODS = (
    (12.0, 12.0, 18.0, 7.0),
    (4.0, 4.0, 12.0, 3.0),
    (7.0, 365.25, 14.0, 26.0),
    (7.0, 30.44, 5.0, 5.0),
    (24.0, 168.0, 13.0, 17.0),
    (48.0, 336.0, 4.0, 7.0),
    (96.0, 672.0, 2.0, 4.0),
    (52.18, 52.18, 6.0, 7.0),
    (5.0, 21.0, 3.0, 3.0),
    (6.0, 12.0, 2.0, 1.0),
    (10.0, 60.0, 2.0, 2.0),
    (30.44, 365.25, 3.0, 5.0),
    (144.0, 1008.0, 1.0, 2.0),
    (3.0, 12.0, 1.0, 0.5),
    (11.0, 22.0, 1.0, 0.5),
)
LONG_SERIES = 500
SLACK = {torch.float64: 1e-6, torch.float32: 1e-3}  # a phase that rounding leaves just below a row counts as that row
DAYS = 7  # a long period of so many short ones is a week, two of its days free
LEVELS = 64  # most values of a free profile: one per row of a season, of a longer one one per day, month, fortnight ...
FEWER_LEVELS = ((7, 12, 24, 52, LEVELS), (3, 5, 2, 1, 1))
GRID = 96  # points of a smooth curve before it is interpolated
SHARED = 8  # smooth curves drawn with the same kernel
JITTER = {torch.float64: 1e-5, torch.float32: 3e-4}  # of a covariance of about 1, so that rounding leaves it positive


def periods(generator: Generator, batch: int, length: int) -> tuple[Float[Tensor, "B 1"], Float[Tensor, "B 1"]]:
    """A calendar period of each series and a longer one; one series in eight has periods from nowhere."""
    index = pick(generator, [often if length < LONG_SERIES else in_long for _, _, often, in_long in PERIODS], batch, 1)
    table = torch.tensor(PERIODS, device=generator.device, dtype=dtype_of(generator))
    short, long = table[index, 0], table[index, 1]
    free = chance(generator, 0.12, batch, 1)
    odd = log_uniform(generator, 2.5, 200.0, batch, 1)
    odd = torch.where(chance(generator, 0.5, batch, 1), odd.round().clamp(min=2), odd)
    return torch.where(free, odd, short), torch.where(free, odd * uniform(generator, 1.5, 12.0, batch, 1), long)


def season(generator: Generator, length: int, period: Float[Tensor, "B 1"]) -> Float[Tensor, "B T"]:
    """A pattern that repeats exactly every `period` rows: harmonics, a free profile, two levels, peaks or a ramp.

    Harmonics: sum_k a_k k^-u sin(2 pi k t / p + phase_k), k = 1 .. 6, u in 0 .. 2. A free profile has a value of its own for
    each row of the season, or for each 7th to 64th of one of more than 64 rows, some of them far out. Two levels: working days
    and others. Peaks: one or two Gaussian bumps.
    """
    batch = len(period)
    turn = ((rows(generator, length) + (uniform(generator, 0, 1000, batch, 1)).floor()) / period) % 1.0
    kind = pick(generator, (31, 30, 19, 13, 7), batch, 1)
    decay = uniform(generator, 0, 2, batch, 1)
    waves = torch.zeros_like(turn)
    for k in range(1, 7):
        size = normal(generator, 0, 1, batch, 1) * k**-decay * (chance(generator, 1.0 if k == 1 else 0.6, batch, 1))
        waves = waves + size * torch.sin(2 * torch.pi * (k * turn + uniform(generator, 0, 1, batch, 1)))
    free = normal(generator, 0, 1, batch, LEVELS) ** choose(generator, (1.0, 3.0), (2, 1), batch, 1)
    levels = torch.where(period > LEVELS, choose(generator, *FEWER_LEVELS, batch, 1), period.round().clamp(min=2))
    place = (turn * levels + SLACK[turn.dtype]).floor().long().clamp(max=LEVELS - 1)
    profile = free.gather(1, place)
    share = uniform(generator, 0.1, 0.9, batch, 1)
    two = (turn < share).to(turn.dtype) + log_uniform(generator, 0.01, 0.4, batch, 1) * profile
    width = log_uniform(generator, 0.02, 0.25, batch, 1) + 0.4 / period
    second = uniform(generator, 0.15, 0.85, batch, 1)
    twice = chance(generator, 0.4, batch, 1) * normal(generator, 0, 0.8, batch, 1)
    peaks = bump(turn, 0.5, width) + twice * bump((turn + second) % 1.0, 0.5, width)
    pattern = torch.stack([waves, profile, two, peaks, turn]).gather(0, kind.expand_as(turn)[None])[0]
    sign = torch.where(chance(generator, 0.3, batch, 1), -1.0, 1.0)
    return standardized(pattern * sign)


def bump(turn: Float[Tensor, "B T"], centre: float, width: Float[Tensor, "B 1"]) -> Float[Tensor, "B T"]:
    """exp(-(x - centre)^2 / (2 width^2))."""
    return torch.exp(-0.5 * ((turn - centre) / width).square())


def smooth(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Draws of Gaussian processes with composed kernels (KernelSynth, Ansari et al. 2024, appendix; ours differ in the bank).

    One to three kernels of squared exponential, rational quadratic, Matern 1/2 and 3/2, periodic, linear and constant are
    joined by + or x; eight series share a kernel. Drawn on a grid of 96 points by Cholesky, bicubic in between.
    """
    groups = -(-batch // SHARED)
    grid = torch.linspace(0, 1, GRID, device=generator.device, dtype=dtype_of(generator))
    covariance = kernel(generator, groups, grid)
    for _ in range(2):
        other, how = kernel(generator, groups, grid), uniform(generator, 0, 1, groups, 1, 1)
        covariance = torch.where(how < 0.3, covariance + other, torch.where(how < 0.55, covariance * other, covariance))
    scale = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    factor = torch.linalg.cholesky(
        covariance / scale + JITTER[grid.dtype] * torch.eye(GRID, device=grid.device, dtype=grid.dtype)
    )
    drawn = (factor @ normal(generator, 0, 1, groups, GRID, SHARED)).transpose(1, 2).reshape(-1, GRID)[:batch]
    return interpolated(drawn, length)


def interpolated(points: Float[Tensor, "B G"], length: int) -> Float[Tensor, "B T"]:
    """Curves through evenly spaced points, bicubic."""
    return F.interpolate(points[:, None, None], size=(1, length), mode="bicubic", align_corners=True)[:, 0, 0]


def kernel(generator: Generator, groups: int, grid: Float[Tensor, " G"]) -> Float[Tensor, "groups G G"]:
    """A kernel of each group over the points of the grid, about 1 on its diagonal."""
    gap = (grid[:, None] - grid).abs()[None]
    scale = log_uniform(generator, 0.02, 1.0, groups, 1, 1)
    squared = torch.exp(-0.5 * (gap / scale).square())
    rational = (1 + 0.5 * (gap / scale).square() / 0.5) ** -0.5
    rough = torch.exp(-gap / scale)
    matern = (1 + 3**0.5 * gap / scale) * torch.exp(-(3**0.5) * gap / scale)
    period, wave = log_uniform(generator, 0.06, 0.6, groups, 1, 1), log_uniform(generator, 0.3, 2.0, groups, 1, 1)
    periodic = torch.exp(-2 * (torch.sin(torch.pi * gap / period) / wave).square())
    centre = uniform(generator, 0, 1, groups, 1, 1)
    linear = 3 * (grid[:, None] - centre) * (grid - centre)
    constant = torch.ones_like(linear)
    every = torch.stack([squared, rational, rough, matern, periodic, linear, constant])
    index = pick(generator, (4, 2, 1.5, 2, 3, 2, 0.5), groups)
    return every[index, torch.arange(groups, device=grid.device)]


def trend(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """A line, a broken line, a logistic curve, a random walk, a damped slope, a walk of the slope, or a smooth curve."""
    t = rows(generator, length) / max(length - 1, 1)
    slope = normal(generator, 0, 1, batch, 1)
    line = slope * t
    broken = line
    for _ in range(3):
        broken = broken + normal(generator, 0, 1, batch, 1) * (t - uniform(generator, 0.05, 0.95, batch, 1)).clamp(min=0)
    logistic = slope * torch.sigmoid(uniform(generator, 3, 25, batch, 1) * (t - uniform(generator, 0, 1, batch, 1)))
    walk = normal(generator, 0, 1, batch, length).cumsum(1) / length**0.5
    damped = slope * (1 - torch.exp(-log_uniform(generator, 0.5, 20, batch, 1) * t))
    turning = normal(generator, 0, 1, batch, length).cumsum(1).cumsum(1) / length**1.5
    curve = smooth(generator, batch, length)
    kind = pick(generator, (25, 22, 10, 18, 8, 12, 10), batch, 1)
    return torch.stack([line, broken, logistic, walk, damped, turning, curve]).gather(0, kind.expand(batch, length)[None])[0]


def noise(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """White noise of deviation 1: Gaussian, with heavy tails (a log-normal mixture of deviations), or louder at times."""
    white = normal(generator, 0, 1, batch, length)
    heavy = white * log_normal(generator, -0.25, 0.7, batch, length)
    loud = white * torch.exp(0.8 * smooth(generator, batch, length) - 0.3)
    kind = pick(generator, (6, 3, 1.5), batch, 1)
    return torch.stack([white, heavy, loud]).gather(0, kind.expand(batch, length)[None])[0]
