"""`python -m tsattn.pretrain`: trains the model that forecasts without training, on simulated series alone."""

from __future__ import annotations

from tsattn.cli import run
from tsattn.pretrain_config import PretrainConfig


def main(config: PretrainConfig) -> None:
    """Train, or go on with what is in the output folder."""
    from tsattn.training.pretraining import pretrain

    if pretrain(config, say=lambda text: print(text, flush=True)) is None:
        print("this slice is over: the same command goes on")


if __name__ == "__main__":
    run("pretrain", PretrainConfig, main)
