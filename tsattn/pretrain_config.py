"""Settings of pretraining: what is simulated, in which lengths, and how long."""

from __future__ import annotations

from dataclasses import dataclass, field

from tsattn.config import PatchConfig, check_choice, check_least


@dataclass
class LengthConfig:
    """Windows of about one length, which share a step of pretraining."""

    context: int  # at most so many steps of context, a multiple of the patch
    num_future: int  # at most so many future tokens
    windows: int  # in a step
    share: float  # of all steps

    def __post_init__(self) -> None:
        for name in ("context", "num_future", "windows"):
            check_least(f"lengths: {name}", getattr(self, name), 1)
        if self.context % 16 or self.context + 16 * self.num_future > 2304:
            raise ValueError(
                f"lengths: context={self.context} must be a multiple of 16, and with 16 steps for each of num_future="
                f"{self.num_future} tokens at most the 2304 rows of the longest series"
            )


def default_lengths() -> list[LengthConfig]:
    """Steps of about equal cost: the shorter the windows, the more of them."""
    rows = (
        (32, 2, 1536, 0.10),
        (64, 2, 1024, 0.17),
        (128, 3, 608, 0.17),
        (320, 4, 288, 0.15),
        (512, 4, 184, 0.15),
        (1024, 8, 92, 0.15),
        (2048, 16, 46, 0.11),
    )
    return [LengthConfig(*row) for row in rows]


def default_prior() -> dict[str, float]:
    """Shares of the generators of `tsattn.synthetic.generators` in the medium and long series."""
    return {
        "trend_season_noise": 0.41,
        "economic": 0.15,
        "counts": 0.15,
        "exponential_smoothing": 0.07,
        "random_walk": 0.06,
        "seasonal_walk": 0.05,
        "gaussian_process": 0.06,
        "regimes": 0.05,
    }


def default_short_prior() -> dict[str, float]:
    """The same in the short series: who has few rows mostly has years, quarters or months, whose trends go on."""
    return {
        "trend_season_noise": 0.13,
        "economic": 0.56,
        "counts": 0.12,
        "exponential_smoothing": 0.07,
        "random_walk": 0.03,
        "seasonal_walk": 0.04,
        "gaussian_process": 0.02,
        "regimes": 0.03,
    }


@dataclass
class PretrainConfig:
    """`python -m tsattn.pretrain`: the model that forecasts without training, from simulated series alone."""

    output: str = "runs/pretrained"  # folder of the bank, the state and the finished model
    minutes: float = 80.0  # of training in all, over all slices
    slice_minutes: float | None = None  # stop after so many minutes of this call, to be continued by the next one
    seed: int = 0
    start: str = "fresh"  # fresh | shipped: first weights drawn from the seed, or those that ship with tsattn
    train: str = "all"  # all | intervals: how wide they are alone, every median staying as it is
    accelerator: str = "auto"  # auto | cpu | gpu
    precision: str = "auto"  # auto | 32 | bf16; auto takes bf16 where the machine multiplies it faster
    model: PatchConfig = field(
        default_factory=lambda: PatchConfig(
            d_model=192,
            num_layers=4,
            num_heads=6,
            d_ff=704,
            head="quantile",
            positional="rotary",
            copying="spread",
        )
    )
    lengths: list[LengthConfig] = field(default_factory=default_lengths)
    prior: dict[str, float] = field(default_factory=default_prior)
    short_prior: dict[str, float] = field(default_factory=default_short_prior)
    short_series: int = 280_000  # of the bank, of 192 rows
    medium_series: int = 220_000  # of 640 rows
    long_series: int = 25_000  # of 2304 rows
    learning_rate: float = (
        2e-3  # of Muon, in units of AdamW (Moonlight, Liu et al. 2025); AdamW, for all but matrices, has the same
    )
    weight_decay: float = 0.02
    warmup: float = 0.02  # share of the minutes in which the rate rises
    decay: float = 0.35  # share of the minutes in which it falls to 0, at the end
    gradient_clip: float = 1.0
    average: float = 0.995  # of the weights in the last part of the decay: w' = average w' + (1 - average) w
    blend: float = 0.5  # where start=shipped: share of the first weights in the finished ones (Wortsman et al. 2022)

    def __post_init__(self) -> None:
        check_choice("accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        check_choice("precision", self.precision, ("auto", "32", "bf16"))
        check_choice("start", self.start, ("fresh", "shipped"))
        check_choice("train", self.train, ("all", "intervals"))
        if self.train == "intervals" and self.start == "fresh":
            raise ValueError("train=intervals leaves the medians as they are, so it needs trained ones: set start=shipped")
        for name in ("minutes", "learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("short_series", "medium_series", "long_series"):
            check_least(name, getattr(self, name), 1)
        if self.slice_minutes is not None and not self.slice_minutes > 0:
            raise ValueError(f"slice_minutes={self.slice_minutes} must be positive")
        if not 0 <= self.blend < 1:
            raise ValueError(f"blend={self.blend} must be 0 or more, and less than 1")
        if min(self.warmup, self.decay) < 0 or self.warmup + self.decay > 1:
            raise ValueError(f"warmup={self.warmup} and decay={self.decay} are shares of the minutes: 1 in all at most")
