"""Pretraining on simulated series alone: a plain loop, to be stopped at any step and continued, on a CPU or a GPU.

The series, the windows and the lengths of step k follow from (seed, k). Everything that changes is in one state file, written
whole. Nothing is read but the bank and the state in the output folder; neither Hydra nor Lightning is needed.
Letters: B windows, L context, H horizon, Q quantile levels.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from tsattn.config import DEFAULT_QUANTILES
from tsattn.files import replace_together
from tsattn.fitted import Settings, build_network
from tsattn.nn.scaling import Scale, to_scaled
from tsattn.pretrain_config import LengthConfig, PretrainConfig
from tsattn.synthetic.augment import augmented, observed_part, windows_of
from tsattn.synthetic.draws import pick
from tsattn.synthetic.prior import CHUNK, LENGTHS, Bank, chunk_seed, digest, draw, make_bank
from tsattn.training.allocator import kept_memory
from tsattn.training.muon import Muon
from tsattn.training.pretraining_state import STATE, Progress, Run, half_precision, load_state, save_state

LEVELS = list(DEFAULT_QUANTILES)
PATCH = 16
WEIGHTS = "model.safetensors"
LOG = "pretraining.jsonl"
SAVE_SECONDS = 300.0
LOG_STEPS = 50
AVERAGED = 0.75  # share of the progress after which weights are averaged
SHORT_SHARE = {32: 0.85, 64: 0.8, 128: 0.6}  # of windows from the short series; the others are from the medium ones
LONGEST_MEDIUM = 640
SEASONS = (1, 4, 7, 12, 24)  # steps after which a window may repeat itself


def is_half(precision: str, device: torch.device) -> bool:
    """Whether products are computed in bfloat16; `auto`: where the device is faster with them."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return product_seconds(torch.bfloat16) < product_seconds(torch.float32)


@cache
def product_seconds(dtype: torch.dtype) -> float:
    """How long this CPU takes for a product of matrices, the fastest of five.

    What instructions it has does not tell: on one machine with those for bfloat16, but none for tiles, products took twice as
    long as in float32, on another a quarter.
    """
    x = torch.ones(512, 512, dtype=dtype)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(x, x)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


class Batch(NamedTuple):
    """Windows of one step."""

    context: Float[Tensor, "B L 1"]
    observed: Bool[Tensor, "B L 1"]
    target: Float[Tensor, "B H 1"]


def network_of(config: PretrainConfig) -> nn.Module:
    """The network with its first weights, drawn from the seed or those that ship, on the CPU."""
    if config.model.head != "quantile":
        raise ValueError(f"model.head={config.model.head}: pretraining needs model.head=quantile")
    longest = max(config.lengths, key=lambda length: length.context)
    levels, horizon = DEFAULT_QUANTILES, longest.num_future * PATCH
    settings = Settings(horizon, longest.context, levels, levels, config.seed, config.model.name, config.model)
    network = build_network(settings, num_features=0)
    if config.start == "shipped":
        from tsattn import zero_shot

        shipped = zero_shot.pretrained().network
        if replace(config.model, copying=shipped.config.copying) != shipped.config:
            raise ValueError("start=shipped begins with the weights that ship, which are of another model: leave model. alone")
        network.load_state_dict({**network.state_dict(), **shipped.state_dict()})  # parts that are new begin without effect
    if config.train == "intervals":
        keep_medians(network)
    return network


def keep_medians(network: Any) -> None:
    """Let training change nothing but how far the quantiles lie from the median: the head without its median, the spread."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(("head.", "copy.widen.")))
    linear, middle, num_raw = network.head.linear, network.head.middle, network.head.num_raw
    others = torch.arange(len(linear.bias)) % num_raw != middle  # rows of the head: a step's quantiles stand together
    linear.weight.register_hook(lambda gradient: gradient * others.to(gradient.device)[:, None])
    linear.bias.register_hook(lambda gradient: gradient * others.to(gradient.device))


def batch_of(length: LengthConfig, bank: Bank, generator: Generator) -> Batch:
    """Windows of about this length with a horizon of 1 .. num_future patches."""
    on_cpu = Generator().manual_seed(generator.initial_seed())  # a GPU would have to be waited for
    num_future = int(torch.randint(1, length.num_future + 1, (1,), generator=on_cpu))
    steps = length.context + num_future * PATCH
    if steps > LONGEST_MEDIUM:
        x = windows_of(generator, bank.long, length.windows, steps)
    else:
        fits = steps <= bank.short.shape[1]
        num_short = round(length.windows * SHORT_SHARE.get(length.context, 0.0)) if fits else 0
        parts = [windows_of(generator, bank.medium, length.windows - num_short, steps)]
        if num_short:
            parts.append(windows_of(generator, bank.short, num_short, steps))
        x = torch.cat(parts)
    x = augmented(generator, x)
    observed = observed_part(generator, length.windows, length.context)
    context = torch.where(observed, x[:, : length.context], 0.0)
    return Batch(context[..., None], observed[..., None], x[:, length.context :, None])


def loss_of(network: Any, batch: Batch) -> Float[Tensor, ""]:
    """Pinball loss in scaled units, each window divided by the square root of its own typical step.

    The step d is the unit of MASE, for the season that suits (`typical_step`): windows that move little within their range,
    as trends do, or that repeat an exact season, would else count less than noise (weights 1 / sqrt(d + 0.02), their mean
    over the batch 1).
    """
    raw, scale = network(batch.context, batch.observed, None, batch.target.shape[1])
    with torch.autocast(raw.device.type, enabled=False):
        quantiles = network.head.scaled_quantiles(raw.float())[:, :, 0]
        error = to_scaled(batch.target, scale)[:, :, 0, None] - quantiles
        levels = network.head.level_values
        each = 2 * torch.maximum(levels * error, (levels - 1) * error).mean((1, 2))
        weight = (typical_step(batch, scale) + 0.02).rsqrt()
        return (each * weight).mean() / weight.mean()


def typical_step(batch: Batch, scale: Scale) -> Float[Tensor, " B"]:
    """The least mean |z_t - z_(t-m)| over pairs of observed steps, of m in `SEASONS` with m pairs or more; 1 where none has."""
    z, seen = to_scaled(batch.context, scale)[:, :, 0], batch.observed[:, :, 0]
    least = torch.full_like(z[:, 0], torch.inf)
    for m in SEASONS:
        both = seen[:, m:] & seen[:, :-m]
        total = torch.where(both, (z[:, m:] - z[:, :-m]).abs(), 0.0).sum(1)
        num = both.sum(1)
        least = torch.where(num >= m, torch.minimum(least, total / num.clamp(min=1)), least)
    return torch.where(least.isfinite(), least, 1.0)


def optimizers_of(network: nn.Module, config: PretrainConfig) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices of the blocks, AdamW for everything else."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    matrices = [p for name, p in trained.items() if p.ndim == 2 and name.startswith("blocks.")]
    chosen = {id(p) for p in matrices}
    others = [p for p in trained.values() if id(p) not in chosen]
    rate, decay = config.learning_rate, config.weight_decay
    muon = [Muon(matrices, lr=rate, weight_decay=decay)] if matrices else []
    return [*muon, torch.optim.AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.95), fused=True)]


def rate_at(progress: float, config: PretrainConfig) -> float:
    """Share of the learning rate: up over the warm-up, 1, then straight down to 0 (WSD, Hu et al. 2024)."""
    up = progress / config.warmup if config.warmup else 1.0
    down = (1 - progress) / config.decay if config.decay else 1.0
    return max(0.0, min(1.0, up, down))


def pretrain(config: PretrainConfig, say: Callable[[str], None] = print) -> Path | None:
    """Train for `config.minutes` in all; the folder of the finished weights, or None where a slice ended before.

    An unfinished run in `config.output` is continued: its model, series, seed and first weights must be the same. Raises
    ValueError where they are not, or where the loss or a weight is no finite number.
    """
    folder = Path(config.output)
    device = torch.device("cuda" if config.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    if config.accelerator == "gpu" and device.type == "cpu":
        raise ValueError("accelerator=gpu: this machine shows no CUDA device to torch; use accelerator=cpu")
    network = network_of(config).to(device).train()
    average, first = ({name: p.detach().clone() for name, p in network.named_parameters()} for _ in range(2))
    run = Run(config, network, optimizers_of(network, config), average, folder, device)
    progress = load_state(run)
    say(f"{sum(p.numel() for p in network.parameters()):,} parameters, from step {progress.step} on, {device.type}")
    sizes = (config.short_series, config.medium_series, config.long_series)
    began = time.monotonic()
    bank = make_bank(
        (config.short_prior, config.prior, config.prior),
        sizes,
        seed=config.seed,
        folder=None if device.type == "cuda" else folder,
        device=device.type,
    )
    rows = sum(part.numel() for part in bank)
    say(f"bank of {sum(len(part) for part in bank):,} series, {rows:,} values, in {time.monotonic() - began:.0f} s")
    with kept_memory():
        progress = _train(run, bank, progress, say)
    save_state(run, progress)
    if progress.seconds < 60 * config.minutes:
        return None
    ship(run, progress, folder, first)
    say(f"{progress.step} steps, {progress.windows:,} windows, {progress.seconds:.0f} s: {folder / WEIGHTS}")
    return folder


def _train(run: Run, bank: Bank, progress: Progress, say: Callable[[str], None]) -> Progress:
    """Steps until the minutes of the whole or of this slice are over; the state is saved on the way and when it is stopped."""
    config = run.config
    begun = time.monotonic() - progress.seconds
    until = 60 * min(config.minutes, progress.seconds / 60 + (config.slice_minutes or math.inf))
    saved, losses = progress.seconds, []
    try:
        while progress.seconds < until:
            loss, windows = _step(run, bank, progress)
            losses.append(loss)
            progress = Progress(progress.step + 1, time.monotonic() - begun, progress.windows + windows)
            if progress.step % LOG_STEPS == 0:
                _log(run, progress, float(torch.stack(losses).mean()), say)
                losses = []
            if progress.seconds - saved > SAVE_SECONDS:
                save_state(run, progress)
                saved = progress.seconds
    except (KeyboardInterrupt, SystemExit):
        save_state(run, progress)
        raise
    return progress


def _step(run: Run, bank: Bank, progress: Progress) -> tuple[Float[Tensor, ""], int]:
    """One step of the optimizers: its loss, and how many windows it had."""
    config, network = run.config, run.network
    share = progress.seconds / (60 * config.minutes)
    seed = config.seed * 1_000_000_007 + progress.step
    length = config.lengths[int(pick(Generator().manual_seed(seed), [each.share for each in config.lengths], 1))]
    generator = Generator(run.device).manual_seed(seed + 1_000_000)
    batch = batch_of(length, bank, generator)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=is_half(config.precision, run.device)):
        loss = loss_of(network, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_at(share, config)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    keep = config.average if share > AVERAGED else 0.0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            run.average[name].lerp_(parameter, 1 - keep)
    return loss.detach(), length.windows


def _log(run: Run, progress: Progress, loss: float, say: Callable[[str], None]) -> None:
    if not math.isfinite(loss):
        raise ValueError(f"the loss at step {progress.step} is no number: continue from {run.folder / STATE}")
    row = {**progress._asdict(), "loss": round(loss, 5)}
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / LOG).open("a") as file:
        file.write(json.dumps(row) + "\n")
    if progress.step % (LOG_STEPS * 10) == 0:
        say(f"step {progress.step}, {progress.seconds / 60:.1f} min, {progress.windows:,} windows, loss {loss:.4f}")


def ship(run: Run, progress: Progress, folder: Path, first: dict[str, Tensor]) -> None:
    """Write the weights and what they were made of: these two files are what `tsattn.zero_shot` reads.

    Of weights that were trained on, a share `blend` is left as it was at `first`: the mean of two trainings of one network
    forgets less of what the earlier one had learned.
    """
    config = run.config
    blend = config.blend if config.start == "shipped" else 0.0
    content = half_precision({name: tensor.lerp(first[name], blend) for name, tensor in run.average.items()})
    facts = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": asdict(config),
        "levels": LEVELS,
        **progress._asdict(),
        "began_with": shipped_before(config),
        "prior_sha256": digest(draw(config.short_prior, CHUNK, LENGTHS[0], seed=chunk_seed(config.seed, 0, 0))),
        "machine": f"{run.device.type}, {torch.get_num_threads()} threads, {platform.machine()}",
        "versions": {name: version(name) for name in ("tsattn", "torch", "numpy")} | {"python": platform.python_version()},
    }
    replace_together(folder, {WEIGHTS: content, "manifest.json": (json.dumps(facts, indent=1) + "\n").encode()})


def shipped_before(config: PretrainConfig) -> dict[str, Any] | None:
    """The weights that a continued pretraining began with, and what they had seen."""
    if config.start == "fresh":
        return None
    from tsattn import zero_shot

    return {name: zero_shot.pretrained().facts[name] for name in ("sha256", "windows", "seconds", "began_with")}
