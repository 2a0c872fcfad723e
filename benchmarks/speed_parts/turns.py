"""What a measured process does: prepare, say so, and measure once each time it is told to. Shared with `benchmarks/peers/`.

The process that tells it to is in `speed_parts.workers`. Nothing of tsattn is imported here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """How a measured process speaks with the one that measures."""

    say: Callable[..., None]  # facts by name, as one line of JSON
    wait: Callable[[], bool]  # until it is told to go on; False: no more is wanted


def serve(parts: dict[str, Callable[[dict[str, Any], Turn], None]]) -> None:
    """Run the part named in the first argument with the settings (JSON) of the second; what it prints goes to stderr."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**facts: Any) -> None:
        print(json.dumps(facts), file=out, flush=True)

    parts[name](settings, Turn(say, lambda: sys.stdin.readline().strip() == "go"))
    out.close()


def in_turns(
    turn: Turn,
    step: Callable[[], Any],
    *,
    times: int = 1,
    warm: int = 1,
    synchronize: Callable[[], Any] = lambda: None,
    **facts: Any,
) -> None:
    """Say `facts` after `warm` steps; in each turn, seconds of one step, the mean of `times`."""
    for _ in range(warm):
        step()
    turn.say(**facts)
    while turn.wait():
        synchronize()
        began = time.perf_counter()
        for _ in range(times):
            step()
        synchronize()
        turn.say(seconds=(time.perf_counter() - began) / times)


def training_turns(
    turn: Turn,
    *,
    warm: int,
    steps: int,
    facts: Callable[[], dict[str, Any]],
    synchronize: Callable[[], Any] = lambda: None,
) -> None:
    """From now on any training of this process stops after `warm` steps, says `facts`, and goes on for `steps` in each turn.

    The clock runs from the end of one optimizer step to the end of another, so all that a training loop does between two steps
    counts, whoever wrote it. The process ends when no more is wanted.
    """
    from torch.optim.optimizer import register_optimizer_step_post_hook

    done, began = -warm, 0.0

    def after_step(*_: Any) -> None:
        nonlocal done, began
        done += 1
        if done < 0 or done % steps:
            return
        synchronize()
        seconds = (time.perf_counter() - began) / steps
        turn.say(**({"seconds": seconds} if done else facts()))
        if not turn.wait():
            os._exit(0)
        began = time.perf_counter()

    register_optimizer_step_post_hook(after_step)


def batched_turns(
    turn: Turn,
    predict: Callable[[str, Any], Any],
    series: Any,
    *,
    ways: list[str],
    batches: list[int],
    times: int,
    **facts: Any,
) -> None:
    """Forecast all `series` [S, L] batch after batch; in each turn, seconds in the fastest way and batch size of a first try.

    `times` over in each turn; `predict` gets a way, such as a precision, and a batch.
    """

    def once(way: str, size: int) -> float:
        began = time.perf_counter()
        for first in range(0, len(series), size):
            predict(way, series[first : first + size])
        return time.perf_counter() - began

    tried = {}
    for way in ways:
        for size in batches:
            once(way, size)
            tried[way, size] = min(once(way, size) for _ in range(2))
    best = min(tried, key=lambda key: tried[key])
    turn.say(best=list(best), tried=[[*key, seconds] for key, seconds in tried.items()], **facts)
    while turn.wait():
        turn.say(seconds=sum(once(*best) for _ in range(times)) / times)


def rss() -> int:
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_rss() -> int:
    """The most bytes of memory that this process has held since it began or since `forget_peak`."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Count the peak from what is held now."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
