"""Forecasts in passes and blocks. Letters: S series, L context, H horizon, Q quantile levels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CELLS = 2**17  # steps of context and future in one pass: bounds the memory, and larger arrays would be mapped anew each time


def windows_at_once(num_steps: int) -> int:
    """Windows of so many steps, context and future, in one pass of a network that forecasts."""
    return max(CELLS // num_steps, 1)


def rolled(
    ask: Callable[[np.ndarray, int], np.ndarray],
    context: np.ndarray,
    horizon: int,
    levels: tuple[float, ...],
    *,
    longest: int,
    allowed: Callable[[np.ndarray], np.ndarray] = lambda quantiles: quantiles,
) -> np.ndarray:
    """Quantiles [S, H, Q] after contexts [S, L, 1], the medians of each block being history of the next.

    `ask(context, begin)` gives the next block [S, h, Q] that begins `begin` steps ahead; of the context the last `longest`
    rows are kept. `allowed` is asked of each block before it is taken as history. The distances from the median grow: those of
    a block are joined with those at the end of the block before, as independent errors are (square root of the sum of
    squares), because a block takes the medians before it for certain.
    """
    middle, side = levels.index(0.5), np.sign(np.array(levels) - 0.5)
    behind, done, blocks = 0.0, 0, []
    while done < horizon:
        block = ask(context, done)
        median = block[..., middle, None]
        away = np.abs(block - median)
        distance = side * (np.hypot(away, behind) if done else away)
        behind = distance[:, -1:]
        blocks.append(allowed(median + distance))
        done += block.shape[1]
        if done < horizon:
            context = np.concatenate([context, blocks[-1][..., middle, None].astype(context.dtype)], axis=1)[:, -longest:]
    return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1))[:, :horizon]
