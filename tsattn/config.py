"""Every setting of tsattn with its default and its checks: the only place where a default is written.

Plain dataclasses without torch, pandas or Hydra. The commands generate their Hydra schema from them;
a notebook builds them directly. Each checks itself in `__post_init__` and says what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

MISSING_RULES = ("mask", "zero", "ffill", "skip")
DUPLICATE_RULES = ("error", "sum", "mean", "last")


def check_choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise a `ValueError` that lists the allowed values of `field`."""
    if value not in allowed:
        raise ValueError(f"{field}={value!r} is not known: choose one of {', '.join(allowed)}")


MAX_STEPS = 100_000  # of context, horizon, season and any size of a network
MAX_WINDOW = 10_000  # tokens per block of local attention: as many times as many pairs
MAX_LEVELS = 1000


def check_most(field: str, value: Any, most: int) -> None:
    if value is not None and value > most:
        raise ValueError(f"{field}={value} must be at most {most}")


def check_least(field: str, value: Any, least: int) -> None:
    if value is not None and not value >= least:
        raise ValueError(f"{field}={value} must be at least {least}")


@dataclass
class ReadConfig:
    """How a table is read. None means: detect it and report what was found."""

    sep: str | None = None  # column separator: one of , ; tab | or any single character
    decimal: str | None = None  # decimal sign: . or ,
    thousands: str | None = None  # thousands separator, removed before conversion
    encoding: str | None = None  # e.g. utf-8, cp1252, utf-16
    date_format: str | None = None  # strptime format, e.g. %d.%m.%Y
    tz: str | None = None  # zone of the stamps: naive ones are placed in it, aware ones converted
    id: Any = None  # column that names the series, or a list of columns joined by "/"
    time: Any = None  # column with the time, or a list of columns joined by a blank
    value: Any = None  # column to forecast, or a list (wide table: one series per column)
    weight: str | None = None  # column with the weight of each series in training: how often its windows are drawn
    missing: str = "mask"  # a missing row or value: mask (unknown) | zero | ffill | skip (rows as they are, on no grid)
    duplicates: str = "error"  # two rows for one id and time: error | sum | mean | last
    count_per: str | None = None  # count rows per period: D, W-MON, MS, h, ...
    resample: str | None = None  # sum a count series into longer periods: W-MON, MS, ...

    def __post_init__(self) -> None:
        check_choice("read.missing", self.missing, MISSING_RULES)
        check_choice("read.duplicates", self.duplicates, DUPLICATE_RULES)
        if self.count_per and self.resample:
            raise ValueError("read.count_per counts events and read.resample re-bins counts: set one of them")


ATTENTIONS = ("full", "causal", "local", "additive", "prob_sparse", "linear")
POSITIONALS = ("none", "sinusoidal", "learned", "rotary", "alibi", "relative", "calendar")
SCALINGS = ("standard", "robust", "last", "arcsinh")
HEADS = ("auto", "quantile", "negative_binomial", "point")
POINT_LOSSES = ("mae", "mse", "huber")
COPYINGS = ("patch", "step", "spread")
SPARSITY = 5  # c of prob_sparse: c ln N queries attend, c ln N keys are sampled to find them
UNTURNED = ("none", "sinusoidal", "learned", "calendar")  # added to tokens, so that every attention can use them
POSITIONS_OF = {  # an attention and the position codes it can use
    "full": POSITIONALS,
    "causal": POSITIONALS,
    "local": POSITIONALS,
    "prob_sparse": POSITIONALS,
    "additive": (*UNTURNED, "alibi", "relative"),  # no product of query and key that could be turned
    "linear": (*UNTURNED, "rotary"),  # no score that a bias could be added to
}


@dataclass
class ModelConfig:
    """What every architecture has; `tsattn.sizing` fills in each field that is None."""

    together: ClassVar[bool] = False  # whether all series are the variates of one window
    name: str = ""
    scaling: str = "arcsinh"  # of each window: standard | robust | last | arcsinh
    head: str = "auto"  # auto | quantile | negative_binomial | point
    point_loss: str = "mae"  # head=point: mae | mse | huber

    def __post_init__(self) -> None:
        check_choice("model.scaling", self.scaling, SCALINGS)
        check_choice("model.head", self.head, HEADS)
        check_choice("model.point_loss", self.point_loss, POINT_LOSSES)
        dropout = getattr(self, "dropout", 0.0)
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout} must lie in [0, 1)")
        for name in ("patch_length", "patch_stride", "d_model", "num_layers", "num_heads", "d_ff", "attention_window"):
            check_least(f"model.{name}", getattr(self, name, None), 1)
            check_most(f"model.{name}", getattr(self, name, None), MAX_WINDOW if name == "attention_window" else MAX_STEPS)
        d_model, num_heads = getattr(self, "d_model", None), getattr(self, "num_heads", None)
        if d_model and num_heads and d_model % num_heads:
            raise ValueError(f"model.d_model={d_model} must be divisible by model.num_heads={num_heads}")


@dataclass
class EncoderConfig(ModelConfig):
    """Stacked self-attention encoder; None means: chosen from the data and said so."""

    name: str = "encoder"
    patch_length: int | None = None  # steps per token; 1 = a token per step
    patch_stride: int | None = None  # steps from one token to the next; None: patch_length, so that tokens do not overlap
    d_model: int | None = None  # width of a token
    num_layers: int | None = None
    num_heads: int | None = None
    d_ff: int | None = None  # width of the feed-forward layer
    dropout: float = 0.0
    attention: str = "full"  # full | causal | local | additive | prob_sparse | linear
    attention_window: int = 32  # local attention: tokens per block; each block sees itself and the one before
    positional: str = "auto"  # none | sinusoidal | learned | rotary | alibi | relative | calendar; auto: rotary where it can be
    copying: str = "patch"  # of past values: patch (whole tokens) | step (from any step on) | spread (and how they vary)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model.copying", self.copying, COPYINGS)
        check_width(self.d_model, self.num_heads, check_position(self.attention, self.positional))
        if self.patch_stride and (self.patch_length is None or self.patch_stride > self.patch_length):
            raise ValueError(
                f"model.patch_stride={self.patch_stride} must be at most model.patch_length ({self.patch_length}), "
                "else steps lie between the tokens"
            )

    @property
    def stride(self) -> int:
        """Steps from one token to the next."""
        return self.patch_stride or self.patch_length or 1

    def num_tokens(self, context_length: int, horizon: int) -> tuple[int, int]:
        """Tokens of the context and of the future."""
        return -(-context_length // self.stride), -(-horizon // self.stride)


def check_position(attention: str, positional: str) -> str:
    """The position code, decided where it is "auto"; a ValueError with the table of all pairs where they do not go together."""
    check_choice("model.attention", attention, ATTENTIONS)
    check_choice("model.positional", positional, ("auto", *POSITIONALS))
    allowed = POSITIONS_OF[attention]
    if positional == "auto":
        return "rotary" if "rotary" in allowed else "sinusoidal"
    if positional not in allowed:
        table = "; ".join(f"{name}: {', '.join(codes)}" for name, codes in POSITIONS_OF.items())
        raise ValueError(f"model.attention={attention} cannot use model.positional={positional}. What works: {table}")
    return positional


def check_width(d_model: int | None, num_heads: int | None, positional: str) -> None:
    """Rotary codes turn pairs of numbers: the width of a head must be even."""
    if d_model and num_heads and positional == "rotary" and d_model // num_heads % 2:
        raise ValueError(
            f"model.positional=rotary turns pairs of numbers: d_model / num_heads must be even, not {d_model // num_heads}"
        )


@dataclass
class PatchConfig(EncoderConfig):
    """The encoder with 16 steps per token (PatchTST, Nie et al. 2023)."""

    name: str = "patch"
    patch_length: int | None = 16


LINEAR_KINDS = ("nlinear", "dlinear")


@dataclass
class LinearConfig(ModelConfig):
    """One linear map from the context to the horizon (Zeng et al. 2023)."""

    name: str = "linear"
    kind: str = "nlinear"  # nlinear | dlinear

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model.kind", self.kind, LINEAR_KINDS)


@dataclass
class LSTMConfig(ModelConfig):
    """A recurrent net over the tokens of the encoder, for comparison (Hochreiter & Schmidhuber 1997)."""

    name: str = "lstm"
    patch_length: int | None = 1
    d_model: int | None = None  # width of a token and of the state
    num_layers: int | None = None
    dropout: float = 0.0


DECODINGS = ("parallel", "step")


@dataclass
class EncoderDecoderConfig(EncoderConfig):
    """The original Transformer (Vaswani et al. 2017): `attention` and `num_layers` are the encoder's."""

    name: str = "encoder_decoder"
    num_decoder_layers: int | None = None  # None: as many as the encoder has
    decoding: str = "parallel"  # parallel: all steps at once | step: token by token, each median fed back

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.copying != "patch":
            raise ValueError("model=encoder_decoder copies nothing: model.copying is for model=encoder and model=patch")
        check_least("model.num_decoder_layers", self.num_decoder_layers, 1)
        check_most("model.num_decoder_layers", self.num_decoder_layers, MAX_STEPS)
        check_choice("model.decoding", self.decoding, DECODINGS)


UNORDERED = ("full", "additive", "prob_sparse", "linear")  # attention that asks for no order of the tokens


@dataclass
class InvertedConfig(ModelConfig):
    """A token per series, attention across series (iTransformer, Liu et al. 2024)."""

    together: ClassVar[bool] = True
    name: str = "inverted"
    d_model: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    d_ff: int | None = None
    dropout: float = 0.0
    attention: str = "full"  # full | additive | prob_sparse | linear

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model.attention", self.attention, ATTENTIONS)
        if self.attention not in UNORDERED:
            raise ValueError(
                f"model.attention={self.attention} goes by the order of tokens, and the tokens of model=inverted are series, "
                f"which have none: choose one of {', '.join(UNORDERED)}"
            )


MODEL_CONFIGS: dict[str, type[ModelConfig]] = {
    "encoder": EncoderConfig,
    "patch": PatchConfig,
    "encoder_decoder": EncoderDecoderConfig,
    "inverted": InvertedConfig,
    "lstm": LSTMConfig,
    "linear": LinearConfig,
}


@dataclass
class CovariatesConfig:
    """Columns that help to forecast, each declared once by its name."""

    past: list[str] = field(default_factory=list)  # known up to the last row only: weather, sales of others
    known: list[str] = field(default_factory=list)  # known ahead: prices, promotions; predict needs them in future=
    static: list[str] = field(default_factory=list)  # one value per series: region, category
    holidays: list[str] = field(default_factory=list)  # countries (ISO 3166, e.g. DE) whose public holidays are known ahead

    def __post_init__(self) -> None:
        declared = [*self.past, *self.known, *self.static]
        twice = sorted({name for name in declared if declared.count(name) > 1})
        if twice:
            raise ValueError(f"covariates: {', '.join(twice)} declared twice: a column is past, known or static")


SAMPLINGS = ("window", "series")


SHOWN = ("logger", "log_every", "progress")  # settings of the trainer that change what is shown and nothing else


@dataclass
class TrainerConfig:
    """How a model is trained."""

    accelerator: str = "auto"  # auto | cpu | gpu
    precision: str = "auto"  # auto | 32 | bf16; auto takes bf16 on a GPU that has it
    max_steps: int = 1500  # upper bound; early stopping usually ends sooner
    batch_size: int | None = None  # windows per step; None: by the number of windows
    sampling: str = "window"  # what is drawn with equal chance: window (long series count more) | series
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 50
    gradient_clip: float = 1.0  # largest norm of the gradient
    validate_every: int = 50  # steps between two looks at the validation windows
    patience: int = 8  # looks without improvement before training stops
    logger: str = "csv"  # csv | tensorboard | none; written only into a run folder
    log_every: int = 25  # steps between two log rows and two reads of the finite flag
    progress: bool = True  # a bar on a terminal, plain lines elsewhere

    def __post_init__(self) -> None:
        check_choice("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        check_choice("trainer.precision", self.precision, ("auto", "32", "bf16"))
        check_choice("trainer.logger", self.logger, ("csv", "tensorboard", "none"))
        check_choice("trainer.sampling", self.sampling, SAMPLINGS)
        for name in ("max_steps", "batch_size", "validate_every", "patience", "log_every"):
            check_least(f"trainer.{name}", getattr(self, name), 1)
        for name in ("weight_decay", "warmup_steps"):
            check_least(f"trainer.{name}", getattr(self, name), 0)
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"trainer.{name}={getattr(self, name)} must be positive")


DEFAULT_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass
class FitConfig:
    """All that `fit` needs besides the data. None means: chosen from the data and said so."""

    horizon: int | None = None  # steps to forecast; None: one season, else 7
    context_length: int | None = None  # steps the model looks back
    season_length: int | None = None  # rows per season; None: by the frequency
    quantiles: list[float] = field(default_factory=lambda: list(DEFAULT_QUANTILES))
    model: ModelConfig = field(default_factory=EncoderConfig)
    covariates: CovariatesConfig = field(default_factory=CovariatesConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    refit: bool = True  # after the verdict, train once more on all rows for the number of steps found
    pretrained: bool = True  # average with the network that ships, where the model is left open

    def __post_init__(self) -> None:
        for name, least in (("horizon", 1), ("context_length", 1), ("season_length", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None:
                check_whole(name, value, least)
                setattr(self, name, int(value))  # also of numpy
        for name in ("horizon", "context_length", "season_length"):
            check_most(name, getattr(self, name), MAX_STEPS)
        check_most("the number of quantiles", len(self.quantiles), MAX_LEVELS - 1)  # the median is always added
        rounded = sorted({round(float(q), 6) for q in self.quantiles})
        if not rounded or any(not 0 < q < 1 for q in rounded):
            raise ValueError(f"quantiles={list(self.quantiles)} must be numbers between 0 and 1, for example [0.1,0.5,0.9]")
        self.quantiles = rounded
        if self.model.together and (self.covariates.past or self.covariates.known or self.covariates.static):
            raise ValueError(f"model={self.model.name} reads the calendar, but no covariates: use model=encoder")
        if self.model.together and self.trainer.sampling != "window":
            raise ValueError(f"model={self.model.name} draws all series together: trainer.sampling has no meaning for it")


def check_horizon(horizon: Any) -> None:
    """Raise a `ValueError` unless `horizon` is a whole number of at least 1."""
    check_whole("horizon", horizon, 1)


def check_whole(field: str, value: Any, least: int) -> None:
    """Raise a `ValueError` unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        unit = "" if field == "seed" else " of steps"
        raise ValueError(f"{field}={value!r} must be a whole number{unit}, {least} or more")


@dataclass
class DatasetConfig:
    """Where a table comes from. A path of the form `sample:NAME` is a file that ships with tsattn."""

    name: str = "csv"
    path: str | None = None
    stored_as: str = ""  # its place in the folder that the variable TSATTN_DATA names, used where there is no path
    sha256: str | None = None  # refused when the file is another one
    horizon: int | None = None  # the usual one of these data, taken where horizon= is not given
    origin: str = ""  # where it comes from, printed with every result
    simulated: bool = False  # said in the title of the picture


@dataclass
class TrainConfig(FitConfig):
    """`python -m tsattn.train`."""

    input: str | None = None  # short for dataset=csv dataset.path=
    output: str | None = None  # run folder; None: runs/<dataset>-<time>
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    read: ReadConfig = field(default_factory=ReadConfig)


@dataclass
class PredictConfig:
    """`python -m tsattn.predict`."""

    input: str | None = None
    values: Any = None  # numbers in place of a file: values=[2,5,10,6,8]
    future: str | None = None  # file with the covariates that are known ahead, for the steps to forecast
    load: str | None = None  # a trained run folder; None: no training, the best that can be said at once
    horizon: int | None = None
    season_length: int | None = None  # rows per season, where nothing is loaded; None: by the frequency
    output: str | None = None  # CSV or Parquet file for the table; None: printed only
    escape_formulas: bool = False  # a ' before texts of the CSV that a spreadsheet would run as a formula
    plot: str | None = None  # picture, .png .svg or .pdf
    quantiles: list[float] | None = None  # levels, where nothing is loaded; None: 0.1, 0.2 ... 0.9
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    read: ReadConfig = field(default_factory=ReadConfig)


@dataclass
class BacktestConfig(TrainConfig):
    """`python -m tsattn.backtest`: fits on the rows before each cut-off."""

    windows: int = 5  # cut-offs per series
    step: int | None = None  # rows between two cut-offs; None: the horizon
    refit_each: bool = False  # fit at every cut-off instead of once at the earliest
    escape_formulas: bool = False  # a ' before texts of the CSV that a spreadsheet would run as a formula
