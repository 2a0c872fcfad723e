"""The generators that the prior mixes. Each: (generator, batch, length) -> series [B, T] in units of its own, T of 2 or
more.

Letters: B series, T rows, m season length. U(a, b) is uniform, LU(a, b) uniform in the logarithm, N(mean, deviation) normal,
LN(mean, deviation) exp of a normal. Recipes are ours unless a source is named.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tsattn.synthetic.components import DAYS, noise, periods, season, smooth, trend
from tsattn.synthetic.draws import chance, choose, log_normal, log_uniform, normal, pick, rows, standardized, uniform

MOST = 24  # longest season of the recursive generators
FIGURES = (  # of yearly, quarterly, monthly figures: season, how growth wanders, its mean and the deviation of the mean
    (1.0, 0.3, 0.6, 0.7),
    (4.0, 0.5, 0.2, 0.5),
    (12.0, 0.12, 0.06, 0.16),
)


def gaussian_process(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """y = f + a s + b e: f a Gaussian process with a composed kernel (`components.smooth`, after KernelSynth, Ansari et al.
    2024), s an exact season with a = LN(-0.3, 1) in half of the series, e noise with b = LN(-2.2, 1.2).
    """
    period, _ = periods(generator, batch, length)
    strength = log_normal(generator, -0.3, 1.0, batch, 1) * chance(generator, 0.5, batch, 1)
    rough = log_normal(generator, -2.2, 1.2, batch, 1) * noise(generator, batch, length)
    return smooth(generator, batch, length) + strength * season(generator, length, period) + rough


def trend_season_noise(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Calendar series, 55 % added up, 45 % multiplied (decomposition as in ForecastPFN, Dooley et al. 2023; ranges are ours).

    Added: y = c t + (a_1 s_1 + a_2 s_2) (1 + v) + g + n, with trend t (c = LN(0.2, 1.2) in 80 %), seasons s of a short and a
    long calendar period (a_1 = LN(0.2, 1) in 80 %, a_2 = LN(-0.6, 1) in 55 %), slowly changing size v in 35 %, autocorrelated
    and white noise of LN(-1.4, 1.1), a third of it in 35 % of the series, a twentieth in 20 %. Multiplied: exp of a trend and a
    walk, times (1 + a tanh(s_1)), (1 + b tanh(s_2)) and log-normal noise: the season grows with the level. s_1 turns into
    another profile with time in 20 %, and has another one in a part of each long season in 25 %: weekends, holidays. In 15 %
    single rows, LU(0.004, 0.04) of them, stand at the lowest place of s_1: holidays again. Noise is as loud as its
    place in the season, exp(U(0, 1.3) s): s is s_1 in 35 %, so that busy days vary more, and a profile of its own in 15 %. Of
    the multiplied whose long period is seven short ones, 12 % fall to U(0.1, 0.9) in two sevenths of it: days off.
    """
    short, long = periods(generator, batch, length)
    first, second = season(generator, length, short), season(generator, length, long)
    older, share = season(generator, length, short), smooth(generator, batch, length)
    changing = torch.sigmoid(2 * share + normal(generator, 0, 1, batch, 1)) * chance(generator, 0.2, batch, 1)
    first = (1 - changing) * first + changing * older  # the profile itself becomes another
    begun = ((rows(generator, length) / short).floor() * short / long + uniform(generator, 0, 1, batch, 1)) % 1.0
    weeks = (long / short - DAYS).abs() < 1e-3
    part = torch.where(weeks, 2 / DAYS, uniform(generator, 0.05, 0.5, batch, 1))
    first = torch.where((begun < part) & chance(generator, 0.25, batch, 1), season(generator, length, short), first)
    closed = uniform(generator, 0, 1, batch, length) < log_uniform(generator, 0.004, 0.04, batch, 1)
    first = torch.where(closed & chance(generator, 0.15, batch, 1), first.amin(1, keepdim=True), first)
    kind = pick(generator, (50, 35, 15), batch, 1)
    place = torch.where(kind == 1, first, season(generator, length, short)) * (kind > 0)
    louder = torch.exp(uniform(generator, 0, 1.3, batch, 1) * place.clamp(-3, 3))
    louder = louder / louder.square().mean(1, keepdim=True).sqrt()
    quiet = louder * choose(generator, (1.0, 0.3, 0.05), (45, 35, 20), batch, 1)
    slow, white = trend(generator, batch, length), noise(generator, batch, length)
    coloured = autoregression(generator, batch, length)
    has_season = chance(generator, 0.8, batch, 1)
    has_second = chance(generator, 0.55, batch, 1)
    strength = log_normal(generator, 0.2, 1.0, batch, 1) * has_season
    both = strength * first + log_normal(generator, -0.6, 1.0, batch, 1) * has_second * second
    envelope = 1 + 0.5 * smooth(generator, batch, length) * chance(generator, 0.35, batch, 1)
    added = log_normal(generator, 0.2, 1.2, batch, 1) * chance(generator, 0.8, batch, 1) * slow + both * envelope
    added = added + quiet * log_normal(generator, -1.4, 1.1, batch, 1) * white
    added = added + quiet * log_normal(generator, -1.2, 1.0, batch, 1) * chance(generator, 0.5, batch, 1) * coloured
    walk = normal(generator, 0, 1, batch, length).cumsum(1) / length**0.5
    level = log_uniform(generator, 0.05, 1.5, batch, 1) * slow + log_uniform(generator, 0.02, 0.6, batch, 1) * walk
    size = uniform(generator, 0.05, 0.95, batch, 1) * has_season
    grown = level.exp() * (1 + size * torch.tanh(0.8 * first))
    grown = grown * (1 + uniform(generator, 0.05, 0.7, batch, 1) * has_second * torch.tanh(second))
    off = weeks & (begun < part) & chance(generator, 0.12, batch, 1)
    grown = torch.where(off, uniform(generator, 0.1, 0.9, batch, 1), 1.0) * grown
    grown = grown * torch.exp((quiet * log_normal(generator, -2.5, 0.9, batch, 1) * (white + 0.5 * coloured)).clamp(-4, 4))
    return torch.where(chance(generator, 0.55, batch, 1), added, grown)


def exponential_smoothing(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Innovations state space models ETS(A, Ad, A) and their exponential (Hyndman et al. 2008, chapter 2).

    y = l + phi b + s_m + e; l' = l + phi b + alpha e; b' = phi b + beta e; s' = s_m + gamma e, e of deviation 1. alpha =
    U(0, 1)^1.5, beta = alpha U(0, 0.3), gamma = (1 - alpha) U(0, 0.4)^2, phi = 1 in 20 %, else U(0.8, 0.99); m in 1, 4, 7, 12,
    24; seasons of LN(1, 1) innovations; b starts at N(0, 0.4). Half are exp(y / LU(5, 60)).
    """
    alpha = uniform(generator, 0, 1, batch) ** 1.5
    beta = alpha * uniform(generator, 0, 0.3, batch) * chance(generator, 0.6, batch)
    gamma = (1 - alpha) * uniform(generator, 0, 0.63, batch) ** 2 * 0.4
    phi = torch.where(chance(generator, 0.2, batch), 1.0, uniform(generator, 0.8, 0.99, batch))
    level, slope = torch.zeros_like(alpha), normal(generator, 0, 0.4, batch)
    steady = torch.where(phi == 1.0, normal(generator, 0, 0.3, batch) * chance(generator, 0.6, batch), 0.0)
    period = choose(generator, (1, 4, 7, 12, MOST), (30, 22, 8, 32, 8), batch).long()
    profile = standardized(normal(generator, 0, 1, batch, MOST)) * log_normal(generator, 1.0, 1.0, batch, 1)
    profile = torch.where(period[:, None] == 1, 0.0, profile)
    errors = noise(generator, batch, length)
    values = []
    for t in range(length):
        place = (t % period)[:, None]
        now = profile.gather(1, place)[:, 0]
        error = errors[:, t]
        ahead = level + phi * slope + steady
        values.append(ahead + now + error)
        level, slope = ahead + alpha * error, phi * slope + beta * error
        profile.scatter_(1, place, (now + gamma * error)[:, None])
    y = torch.stack(values, dim=1)
    y = y / y.diff(dim=1).square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
    grown = torch.exp((y - y.mean(1, keepdim=True)).div(log_uniform(generator, 5, 60, batch, 1)).clamp(-12, 12))
    return torch.where(chance(generator, 0.5, batch, 1), grown, y)


def seasonal_walk(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """ARMA(2, 1), as it is, summed up, or summed up over seasons with decay: SARIMA (Box & Jenkins 1970) with drift.

    x as in `autoregression`; level = x, or its sum in 45 %; then y_t = level_t + rho y_(t - m) in 60 %, rho = U(0.6, 1), m in
    4, 7, 12, 24; drift N(0, 0.1) per row.
    """
    x = autoregression(generator, batch, length)
    x = torch.where(chance(generator, 0.45, batch, 1), x.cumsum(1) * 0.4, x)
    period = choose(generator, (4, 7, 12, MOST), (25, 20, 40, 15), batch).long()
    rho = uniform(generator, 0.6, 1.0, batch) * chance(generator, 0.6, batch)
    ring = normal(generator, 0, 1, batch, MOST) * log_normal(generator, 0.5, 0.8, batch, 1)
    values = []
    for t in range(length):
        place = (t % period)[:, None]
        now = x[:, t] * 0.4 + rho * ring.gather(1, place)[:, 0]
        ring.scatter_(1, place, now[:, None])
        values.append(now)
    return torch.stack(values, dim=1) + normal(generator, 0, 0.1, batch, 1) * rows(generator, length)


def autoregression(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """x_t = a x_(t-1) + b x_(t-2) + e_t + c e_(t-1), deviation 1: a root of U(-0.4, 0.98), or a damped cycle of LU(3, 100)."""
    root, cycle = uniform(generator, -0.4, 0.98, batch), log_uniform(generator, 3, 100, batch)
    cyclic = chance(generator, 0.4, batch) & (root > 0.3)
    a = torch.where(cyclic, 2 * root * torch.cos(2 * torch.pi / cycle), root)
    b = torch.where(cyclic, -root.square(), 0.0)
    before = 32
    errors = noise(generator, batch, length + before)
    errors[:, 1:] += uniform(generator, -0.7, 0.7, batch, 1) * errors[:, :-1].clone()
    last, older = torch.zeros_like(root), torch.zeros_like(root)
    values = []
    for t in range(length + before):
        last, older = a * last + b * older + errors[:, t], last
        values.append(last)
    return standardized(torch.stack(values[before:], dim=1))


def random_walk(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """y = sum of v_t e_t + drift, and its exponential in 40 %: prices and stocks with stochastic volatility (Taylor 1982).

    log v is a smooth curve of U(0, 1) or white noise; drift N(0, 0.06) of a step, N(0, 0.5) in 45 %; 40 % are
    exp(LU(0.003, 0.08) y); a quarter return to their mean: y_t = U(0.9, 1) y_(t-1) + step.
    """
    loudness = torch.exp(uniform(generator, 0, 1, batch, 1) * smooth(generator, batch, length))
    drift = normal(generator, 0, 1, batch, 1) * choose(generator, (0.06, 0.5), (55, 45), batch, 1)
    step = noise(generator, batch, length) * loudness + drift
    y = step.cumsum(1)
    keep = uniform(generator, 0.9, 1.0, batch)
    last, values = torch.zeros_like(keep), []
    for t in range(length):
        last = keep * last + step[:, t]
        values.append(last)
    y = torch.where(chance(generator, 0.25, batch, 1), torch.stack(values, dim=1), y)
    grown = torch.exp((log_uniform(generator, 0.003, 0.08, batch, 1) * (y - y.mean(1, keepdim=True))).clamp(-12, 12))
    observed = torch.where(chance(generator, 0.4, batch, 1), grown, y)
    blur = observed.diff(dim=1).abs().mean(1, keepdim=True) * log_normal(generator, -1.5, 1.0, batch, 1)
    return observed + blur * chance(generator, 0.3, batch, 1) * normal(generator, 0, 1, batch, length)


def economic(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Yearly, quarterly and monthly figures of firms and countries: growth that wanders and is damped, times a season.

    log y = l + a + s_m + n; l' = l + mean + g; g' = phi g + q e', phi = U(0.5, 1); a' = keep a + d e, keep = 1, or in 55 %
    U(0.3, 0.95): the level returns to its trend; d = LU(0.003, 0.25). Yearly figures (m = 1, 42 %) are sums over many months:
    n of deviation r = d LU(0.02, 0.6); of others (m = 4, 25 %; m = 12) r = d LU(0.1, 8), at most 0.4. q = d LU(0.07, 1) times
    0.3, 0.5, 0.12 for m = 1, 4, 12, and 0 in 30 %; mean = (d + 0.2 r) times N(0.6, 0.7), N(0.2, 0.5), N(0.06, 0.16), and 0 in
    15 %. In half of the series times change, at chance LU(0.003, 0.05) a row: the mean becomes a share N(0.6, 0.6) of what it
    was first, so that growth ends. Seasons of LU(0.03, 0.9), or in half of the series of (d + r) LU(0.1, 5), fixed or drifting,
    in the same shape all years. Levels break in 8 %. Half of the yearly series and 30 % of the others are log y, with season
    and noise of a size of their own.
    """
    move = log_uniform(generator, 0.003, 0.25, batch)
    chosen = torch.tensor(FIGURES, device=move.device, dtype=move.dtype)[pick(generator, (42, 25, 33), batch)]
    period, wander, usual, spread = chosen[:, :1], *chosen[:, 1:].unbind(1)
    yearly = period[:, 0] == 1
    rough = torch.where(yearly, log_uniform(generator, 0.02, 0.6, batch), log_uniform(generator, 0.1, 8.0, batch))
    rough = (move * rough).clamp(max=0.4)
    turn = move * wander * log_uniform(generator, 0.07, 1.0, batch) * chance(generator, 0.7, batch)
    phi = uniform(generator, 0.5, 1.0, batch)
    mean = (move + 0.2 * rough) * (usual + spread * normal(generator, 0, 1, batch)) * chance(generator, 0.85, batch)
    change = uniform(generator, 0, 1, batch, length) < log_uniform(generator, 0.003, 0.05, batch, 1)
    times = (change & chance(generator, 0.5, batch, 1)).cumsum(1)  # how often times have changed so far
    part = torch.where(times == 0, 1.0, normal(generator, 0.6, 0.6, batch, length + 1).gather(1, times))
    shocks, turns = noise(generator, batch, length), noise(generator, batch, length)
    keep = torch.where(chance(generator, 0.55, batch), uniform(generator, 0.3, 0.95, batch), 1.0)
    growth, level, away, levels = turn * normal(generator, 0, 2, batch), torch.zeros_like(move), torch.zeros_like(move), []
    for t in range(length):
        level = level + (part[:, t] * mean + growth).clamp(-0.3, 0.3)
        growth, away = phi * growth + turn * turns[:, t], keep * away + move * shocks[:, t]
        levels.append(level + away)
    log_level = torch.stack(levels, dim=1)
    broken = (rows(generator, length) > uniform(generator, 0, length, batch, 1)) * chance(generator, 0.08, batch, 1)
    log_level = log_level + broken * normal(generator, 0, 3, batch, 1) * (move + rough)[:, None]
    faint = (move + rough)[:, None] * log_uniform(generator, 0.1, 5.0, batch, 1)
    size = torch.where(chance(generator, 0.5, batch, 1), faint, log_uniform(generator, 0.03, 0.9, batch, 1)) * (period > 1)
    pattern = season(generator, length, period)
    drifting = torch.sigmoid(3 * smooth(generator, batch, length)) * chance(generator, 0.25, batch, 1)
    pattern = size * ((1 - drifting) * pattern + drifting * season(generator, length, period))
    heavy = rough[:, None] * noise(generator, batch, length)
    log_level = log_level - log_level.mean(1, keepdim=True)
    multiplied = torch.exp((log_level + pattern + heavy).clamp(-12, 12))
    added = log_level / log_level.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6) + (pattern + heavy) * log_normal(
        generator, 1.0, 0.7, batch, 1
    )
    grows = uniform(generator, 0, 1, batch, 1) < torch.where(period == 1, 0.5, 0.7)
    return torch.where(grows, multiplied, added)


def counts(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Whole numbers of 0 and more: Poisson and negative binomial counts of calendar series, and intermittent demand.

    60 %: rate LN(1.5, 1.6) softplus(z c), or exp(z c) in half of them, c = U(0.2, 1.5), z a standardized `trend_season_noise`,
    times log-normal noise of U(0, 0.8) (overdispersion); 15 % of these are capped, as images a camera can take in a day, 15 %
    have outages of zeros. Others: demand arrives with probability LU(0.04, 0.8), constant or wandering, in sizes of 1 +
    Poisson, in the quadrants of Syntetos & Boylan (2005): smooth, intermittent, erratic, lumpy; 10 % fade out.
    """
    z = standardized(trend_season_noise(generator, batch, length))
    z = z * uniform(generator, 0.2, 1.5, batch, 1)
    shape = torch.where(chance(generator, 0.5, batch, 1), z.clamp(-4, 3).exp(), torch.nn.functional.softplus(z))
    rate = log_normal(generator, 1.5, 1.6, batch, 1) * shape
    over = uniform(generator, 0, 0.8, batch, 1) * chance(generator, 0.7, batch, 1)
    rate = rate * torch.exp(over * normal(generator, 0, 1, batch, length) - over.square() / 2)
    steady = torch.poisson(rate.clamp(0, 1e6), generator=generator)
    cap = steady.mean(1, keepdim=True) * uniform(generator, 0.8, 1.3, batch, 1)
    steady = torch.where(chance(generator, 0.15, batch, 1), torch.minimum(steady, cap.round()), steady)
    steady = torch.where(chance(generator, 0.15, batch, 1) & (smooth(generator, batch, length) > 1.2), 0.0, steady)
    wandering = smooth(generator, batch, length) * chance(generator, 0.5, batch, 1)
    arrives = torch.sigmoid(torch.logit(log_uniform(generator, 0.04, 0.8, batch, 1)) + 0.8 * wandering)
    ends = uniform(generator, 0.2, 1.0, batch, 1) * length
    fading = torch.where(chance(generator, 0.1, batch, 1), torch.sigmoid((ends - rows(generator, length)) / 5), 1.0)
    demand = uniform(generator, 0, 1, batch, length) < arrives * fading
    erratic = log_uniform(generator, 0.02, 1.2, batch, 1)
    typical = log_normal(generator, 0.3, 1.2, batch, 1) - 0.5
    sizes = 1 + torch.poisson(
        (typical.clamp(min=0) * torch.exp(erratic * normal(generator, 0, 1, batch, length))).clamp(max=1e6), generator=generator
    )
    return torch.where(chance(generator, 0.6, batch, 1), steady, demand * sizes)


def regimes(generator: Generator, batch: int, length: int) -> Float[Tensor, "B T"]:
    """Levels that hold and jump, two regimes in turn, and spikes: steps, regime-switching mean reversion, trapezoids.

    Steps: a new level N(0, 1) every 1 / LU(2, 40) of the rows. Two regimes: y' = y + k (mean_r - y) + v_r e, switching with
    chance LU(0.003, 0.1) a row. Spikes of LN(1, 0.6) on a flat or seasonal ground, at chance LU(0.003, 0.08) or periodic.
    Noise of LN(-2, 1).
    """
    jump = uniform(generator, 0, 1, batch, length) < log_uniform(generator, 2, 40, batch, 1) / length
    levels = normal(generator, 0, 1, batch, length)
    steps = levels.gather(1, jump.cumsum(1).clamp(max=length - 1))  # the number of jumps so far picks the level
    switch = uniform(generator, 0, 1, batch, length) < log_uniform(generator, 0.003, 0.1, batch, 1)
    other = (switch.cumsum(1) % 2).bool()
    pull = torch.where(other, uniform(generator, 0.02, 0.6, batch, 1), uniform(generator, 0.02, 0.6, batch, 1))
    mean = torch.where(other, normal(generator, 0, 1, batch, 1), normal(generator, 0, 1, batch, 1))
    loud = torch.where(other, log_normal(generator, -1.5, 0.8, batch, 1), log_normal(generator, -1.5, 0.8, batch, 1))
    drawn, y, values = normal(generator, 0, 1, batch, length) * loud, mean[:, 0], []
    for t in range(length):
        y = y + pull[:, t] * (mean[:, t] - y) + drawn[:, t]
        values.append(y)
    switching = torch.stack(values, dim=1)
    period, _ = periods(generator, batch, length)
    at_random = uniform(generator, 0, 1, batch, length) < log_uniform(generator, 0.003, 0.08, batch, 1)
    on_time = (rows(generator, length) + uniform(generator, 0, 100, batch, 1).floor()) % period.round().clamp(min=2) < 1
    spikes = torch.where(chance(generator, 0.5, batch, 1), at_random, on_time) * log_normal(generator, 1.0, 0.6, batch, length)
    fade = uniform(generator, 0, 0.8, batch, 1) * chance(generator, 0.5, batch, 1)
    for _ in range(3):  # each spike fades over some rows
        spikes[:, 1:] = torch.maximum(spikes[:, 1:], fade * spikes[:, :-1])
    ground = season(generator, length, period) * log_normal(generator, -0.5, 0.7, batch, 1) * chance(generator, 0.5, batch, 1)
    kind = pick(generator, (4, 3, 3), batch, 1).expand(batch, length)
    y = torch.stack([steps, switching, ground + spikes]).gather(0, kind[None])[0]
    return y + log_normal(generator, -2.0, 1.0, batch, 1) * noise(generator, batch, length)


GENERATORS: dict[str, Callable[[Generator, int, int], Tensor]] = {
    "gaussian_process": gaussian_process,
    "trend_season_noise": trend_season_noise,
    "exponential_smoothing": exponential_smoothing,
    "seasonal_walk": seasonal_walk,
    "random_walk": random_walk,
    "economic": economic,
    "counts": counts,
    "regimes": regimes,
}
