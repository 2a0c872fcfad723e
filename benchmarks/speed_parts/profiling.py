"""Where a training step goes, and what each remedy gives alone."""

from __future__ import annotations

import shutil
import statistics
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple

from speed_parts.turns import Turn, in_turns, serve
from speed_parts.workers import Run, alternate, asked, measured, ours

TURNS = 5
KINDS = {  # of an operator of torch, by a part of its name; the first that fits
    "matrix products": ("addmm", "aten::mm", "bmm", "linear"),
    "attention kernel": ("scaled_dot_product", "softmax", "flash"),
    "optimizer": ("adam", "clip", "norm_", "foreach"),
    "norms, activations, dropout": ("layer_norm", "gelu", "dropout", "bernoulli"),
    "copies and conversions": ("copy", "_to_copy", "cat", "clone", "index"),
}


class Remedy(NamedTuple):
    """One change to the plain way; `per` says by how many times the windows of its step are those of the plain one."""

    name: str
    settings: dict[str, Any]


def remedies(run: Run, batch_size: int) -> list[Remedy]:
    """Each alone, beside plain float32 with projections in parts and AdamW of loops."""
    found = [
        Remedy("bfloat16", {"precision": "bf16"}),
        Remedy("bfloat16, keys of attention filled up", {"precision": "bf16", "filled": True}),
        Remedy("bfloat16, that and attention in blocks of windows", {"precision": "bf16", "filled": True, "blocks": True}),
        Remedy("attention in blocks of windows", {"filled": True, "blocks": True}),
        Remedy("one matrix for queries, keys and values", {"fused_projections": True}),
        Remedy("fused AdamW", {"fused_optimizer": True}),
        Remedy("memory of a step is kept for the next", {"kept": True}),
        Remedy("windows of like length together", {"bucketed": True}),
        Remedy("half the batch", {"batch_size": max(batch_size // 2, 1)}),
        Remedy("twice the batch", {"batch_size": 2 * batch_size}),
        Remedy("one thread", {"num_threads": 1}),
    ]
    if shutil.which("g++") or shutil.which("clang++"):
        found.append(Remedy("torch.compile", {"compiled": True}))
    return found


def profile(run: Run) -> dict[str, Any]:
    """A step of the encoder shaped as PatchTST: shares by kind of operator, part of the ceiling, and every remedy."""
    shape, batch_size = run.size("patchtst", "tiny"), run.size(128, 8)
    ceilings = asked(run, "profiling", "ceilings", size=run.size(2048, 128), times=run.size(10, 1))
    settings = {"shape": shape, "batch_size": batch_size}
    shares = {way: asked(run, "profiling", "shares", precision=way, **settings) for way in ("32", "bf16")}
    wanted = remedies(run, batch_size)
    wanted = run.size(wanted, [remedy for remedy in wanted if "bucketed" in remedy.settings])
    gains = {}
    for remedy in wanted:
        plain = {**settings, "ragged": "bucketed" in remedy.settings}
        with ExitStack() as stack:
            workers = {
                "plain": stack.enter_context(ours(run, "profiling", "step", **plain)),
                "with": stack.enter_context(ours(run, "profiling", "step", **{**plain, **remedy.settings})),
            }
            seconds = alternate(workers, run.size(TURNS, 1))
        more = remedy.settings.get("batch_size", batch_size) / batch_size
        gains[remedy.name] = measured([more * a / b for a, b in zip(seconds["plain"], seconds["with"], strict=True)])
    rates = {way: found["gflop"] / found["seconds"] for way, found in shares.items()}
    of_ceiling = {way: {"ours": measured([100 * rates[way] / ceilings[way]])} for way in rates}
    return {
        "measured": {"32": of_ceiling["32"], "bf16": of_ceiling["bf16"]},
        "details": {"ceilings": ceilings, "shares": shares, "gains": gains},
        "text": [shares_table(shares, ceilings), "", gains_table(gains)],
    }


def shares_table(shares: dict[str, Any], ceilings: dict[str, float]) -> str:
    """Per cent of the time of a step by kind of operator."""
    kinds = [*KINDS, "all else"]
    lines = ["| a training step as PatchTST's, share of | float32 | bfloat16 |", "|---|---|---|"]
    lines += [f"| {kind} | {shares['32']['shares'][kind]:.0f} % | {shares['bf16']['shares'][kind]:.0f} % |" for kind in kinds]
    rates = {way: found["gflop"] / found["seconds"] for way, found in shares.items()}
    cells = (f"{rates[way]:.0f} of {ceilings[way]:.0f} GFLOP/s" for way in ("32", "bf16"))
    return "\n".join([*lines, f"| reached | {' | '.join(cells)} |"])


def gains_table(gains: dict[str, Any]) -> str:
    lines = ["| remedy, alone | windows per second, times plain float32 |", "|---|---|"]
    rows = (f"| {name} | {g['median']:.2f} ({g['range'][0]:.2f} to {g['range'][1]:.2f}) |" for name, g in gains.items())
    return "\n".join([*lines, *rows])


def ceilings(settings: dict[str, Any], turn: Turn) -> None:
    """GFLOP/s of a square matrix product, the best of some tries."""
    import time

    import torch

    size, best = settings["size"], {}
    for way, dtype in (("32", torch.float32), ("bf16", torch.bfloat16)):
        a, b, seconds = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype), []
        for _ in range(settings["times"] + 1):
            began = time.perf_counter()
            a @ b
            seconds.append(time.perf_counter() - began)
        best[way] = 2 * size**3 / min(seconds) / 1e9
    turn.say(**best)


def stepper(settings: dict[str, Any]) -> Any:
    """The training step of these settings: forward, loss, backward, clipping, AdamW; and the network."""
    import torch

    from speed_parts import shapes
    from tsattn.nn import blocked
    from tsattn.nn.layers import SelfAttention

    torch.set_num_threads(settings.get("num_threads", settings["threads"]))
    if not settings.get("fused_projections"):
        SelfAttention.project = separate_projections
    if not settings.get("filled"):
        blocked.REGISTER = 1
    if not settings.get("blocks"):  # the fused kernel in float32
        blocked.BLOCK_PAIRS, blocked.MOST_KEYS = 2**60, 0
    shape = shapes.SHAPES[settings["shape"]]()
    network = shapes.network_of(shape).train()
    forward = torch.compile(network) if settings.get("compiled") else network
    fused = bool(settings.get("fused_optimizer"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=fused, foreach=False if not fused else None)
    half = settings.get("precision") == "bf16"
    groups = [windows(shape, size, length) for size, length in groups_of(settings, shape)]

    def once() -> None:
        for context, target in groups:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                raw, scale = forward(context.nan_to_num(), ~context.isnan(), None, shape.horizon)
                loss = network.head.loss(raw, target, torch.ones_like(target, dtype=torch.bool), scale)
            (loss / len(groups)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return once, network, groups


def groups_of(settings: dict[str, Any], shape: Any) -> list[tuple[int, int]]:
    """Windows and their length: all of the context's or, ragged, half of a quarter of it, padded unless bucketed."""
    size = settings["batch_size"]
    if settings.get("bucketed"):
        return [(size - size // 2, shape.context_length), (size // 2, shape.context_length // 4)]
    return [(size, shape.context_length)]


def windows(shape: Any, size: int, length: int) -> Any:
    import torch

    return torch.randn(size, length, 1), torch.randn(size, shape.horizon, 1)


def separate_projections(attention: Any, x: Any, position: Any = None) -> Any:
    """Queries, keys and values by a product each, with the same weights; positions are in the tokens already."""
    from einops import rearrange

    parts = attention.qkv.weight.chunk(3)
    return tuple(rearrange(x @ part.T.to(x.dtype), "b n (a k) -> b a n k", a=attention.num_heads) for part in parts)


def step(settings: dict[str, Any], turn: Turn) -> None:
    """Seconds of a step."""
    from tsattn.training.allocator import kept_memory

    once, _, _ = stepper(settings)
    with kept_memory() if settings.get("kept") else nullcontext():
        in_turns(turn, once, times=3, warm=3)


def shares(settings: dict[str, Any], turn: Turn) -> None:
    """Shares of a step by kind of operator, its seconds, and its floating-point operations in 10^9 (backward twice forward)."""
    import time

    import torch
    from torch.profiler import ProfilerActivity

    from speed_parts import shapes
    from tsattn.training.allocator import kept_memory

    ships = dict.fromkeys(("fused_projections", "fused_optimizer", "filled", "blocks"), True)
    once, network, groups = stepper({**settings, **ships})
    shape = shapes.SHAPES[settings["shape"]]()
    forward = shapes.our_sizes(network, shape)["forward_mflop_per_window"] * len(groups[0][0]) / 1e3
    seconds = []
    with kept_memory():
        for _ in range(8):
            began = time.perf_counter()
            once()
            seconds.append(time.perf_counter() - began)
        with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as found:
            for _ in range(3):
                once()
    taken = dict.fromkeys((*KINDS, "all else"), 0.0)
    for event in found.key_averages():
        kind = next((kind for kind, parts in KINDS.items() if any(part in event.key.lower() for part in parts)), "all else")
        taken[kind] += event.self_cpu_time_total
    whole = sum(taken.values())
    turn.say(
        shares={kind: 100 * time_ / whole for kind, time_ in taken.items()},
        seconds=statistics.median(seconds[2:]),
        gflop=3 * forward,
    )


if __name__ == "__main__":
    serve({"ceilings": ceilings, "step": step, "shares": shares})
