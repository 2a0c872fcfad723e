"""tsattn: time-series forecasting on self-attention, with a verdict against naive forecasts with every answer.

>>> from tsattn import Forecaster                                          # doctest: +SKIP
>>> Forecaster(horizon=7).fit("counts.csv").predict()                      # doctest: +SKIP

Importing this package loads neither torch nor Lightning nor pandas: the public names are looked up when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsattn.config import (
        CovariatesConfig,
        EncoderConfig,
        EncoderDecoderConfig,
        FitConfig,
        InvertedConfig,
        LinearConfig,
        LSTMConfig,
        PatchConfig,
        ReadConfig,
        TrainerConfig,
    )
    from tsattn.data.findings import DataError, Finding
    from tsattn.forecaster import Forecaster, NotFittedError
    from tsattn.pretrain_config import PretrainConfig
    from tsattn.store import ModelFolderError
    from tsattn.synthetic.prior import simulate
    from tsattn.training.callbacks import TrainingError
    from tsattn.verdict import Verdict

_WHERE = {
    "Forecaster": "tsattn.forecaster",
    "NotFittedError": "tsattn.forecaster",
    "FitConfig": "tsattn.config",
    "CovariatesConfig": "tsattn.config",
    "EncoderConfig": "tsattn.config",
    "PatchConfig": "tsattn.config",
    "EncoderDecoderConfig": "tsattn.config",
    "InvertedConfig": "tsattn.config",
    "LSTMConfig": "tsattn.config",
    "LinearConfig": "tsattn.config",
    "PretrainConfig": "tsattn.pretrain_config",
    "TrainerConfig": "tsattn.config",
    "ReadConfig": "tsattn.config",
    "DataError": "tsattn.data.findings",
    "Finding": "tsattn.data.findings",
    "ModelFolderError": "tsattn.store",
    "TrainingError": "tsattn.training.callbacks",
    "Verdict": "tsattn.verdict",
    "simulate": "tsattn.synthetic.prior",
}

__all__ = [
    "CovariatesConfig",
    "DataError",
    "EncoderConfig",
    "EncoderDecoderConfig",
    "Finding",
    "FitConfig",
    "Forecaster",
    "InvertedConfig",
    "LSTMConfig",
    "LinearConfig",
    "ModelFolderError",
    "NotFittedError",
    "PatchConfig",
    "PretrainConfig",
    "ReadConfig",
    "TrainerConfig",
    "TrainingError",
    "Verdict",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'tsattn' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
