"""The one Hydra helper: schema, quoting of paths, one-line errors, exit codes. Imports neither torch nor pandas itself."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tsattn import config as settings
from tsattn.data.findings import printable

PATHS = ("input", "output", "load", "plot", "future", "dataset.path")
TEXTS = (
    "sep",
    "decimal",
    "thousands",
    "encoding",
    "date_format",
    "tz",
    "id",
    "time",
    "value",
    "weight",
    "count_per",
    "resample",
)
LISTS = ("past", "known", "static", "holidays")
QUOTED = re.compile(
    rf"((?:{'|'.join(map(re.escape, PATHS))})|read\.(?:{'|'.join(TEXTS)})|covariates\.(?:{'|'.join(LISTS)}))=(.*)", re.DOTALL
)
MEMORY = (
    "the memory of this machine is not enough for these data and settings: give fewer columns or rows, for example as Parquet "
    "in pieces (input='pieces/*.parquet')"
)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
DONE, BUG, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
typed: list[str] = []  # the settings of the running command as the user wrote them
DATA_FOLDER = "TSATTN_DATA"  # the variable that names the folder of the data sets that are not shipped


class Job(NamedTuple):
    """One job of a multirun."""

    config: Any  # the settings, with the job's own places in `output` and `plot`
    overrides: dict[str, str]  # what the command line and the sweep of an experiment set


Task = Callable[[Any], None]
Afterwards = Callable[[list[Job]], None]


def run(name: str, schema: type, task: Task, afterwards: Afterwards | None = None) -> None:
    """Compose `conf/<name>.yaml` with the command line, hand `task` the plain `schema` object, and exit."""
    sys.exit(exit_code(name, schema, task, afterwards))


def exit_code(name: str, schema: type, task: Task, afterwards: Afterwards | None = None) -> int:
    """Run the command and turn what happens into an exit code and, for errors of the user, one line on stderr.

    `afterwards` gets the jobs of a multirun that came to their end, also where a later one did not.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal has no character for is shown by its code
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup lets it be ignored
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        os.getcwd()
    except FileNotFoundError:
        print("error: the folder you are in has been removed: cd to another one", file=sys.stderr)
        return USAGE
    try:
        _hydra(name, schema, task, afterwards)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE if stop.code else DONE
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _forget_stdout()
        return DONE
    except Exception as problem:
        return explain(problem, name)
    return DONE


def explain(problem: Exception, name: str) -> int:
    """One line and code 2 for what a user can mend, 3 for a training that broke down, a traceback and code 1 for our bugs."""
    kind = type(problem)
    if "TrainingError" in [base.__name__ for base in kind.__mro__]:
        print(f"error: {printable(str(problem))}", file=sys.stderr)
        return FAILED
    if kind.__module__.split(".")[0] in ("hydra", "omegaconf"):
        print(f"error: {printable(_hydra_reason(problem))}; python -m tsattn.{name} --help lists the settings", file=sys.stderr)
        return USAGE
    if isinstance(problem, OSError) and (problem.filename is not None or problem.errno in NO_ROOM):
        if problem.filename is None:
            _forget_stdout()
        print(f"error: {printable(str(problem.filename or 'standard output'))}: {problem.strerror}", file=sys.stderr)
        return USAGE
    if isinstance(problem, OSError):  # no room for temporary files, a disk that is gone: nothing that we could mend
        print(f"error: {printable(_one_line(str(problem)))}", file=sys.stderr)
        return USAGE
    if isinstance(problem, MemoryError) or "allocate memory" in str(problem):
        print(f"error: {MEMORY}", file=sys.stderr)
        return USAGE
    if isinstance(problem, ValueError | TypeError) and _is_ours(problem):
        print(f"error: {printable(_one_line(str(problem)))}", file=sys.stderr)
        return USAGE
    traceback.print_exception(problem)
    print("this is a bug in tsattn: please report the lines above", file=sys.stderr)
    return BUG


def _forget_stdout() -> None:
    """Let what is still to be printed go nowhere: its reader is gone or its disk is full, and Python would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_ours(problem: Exception) -> bool:
    """Whether the error was raised by a check of ours (or on the way from a settings object), not deep in a library."""
    frames = traceback.extract_tb(problem.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent)


def _hydra_reason(problem: Exception) -> str:
    """What Hydra or OmegaConf has to say, with the reason it hides in the cause and without its inner life."""
    texts = [str(part) for part in (problem, problem.__cause__) if part is not None]
    override = getattr(problem, "override", None)  # what Hydra's grammar cannot read
    if override and override not in texts[0]:
        texts = [override, *texts]
    noise = ("full_key:", "object_type=", "To append to your config", "See https://hydra.cc")
    unknown = re.search(r"Key '([^']*)' not in '(\w+)'", " ".join(texts))
    if (
        unknown is not None
        and (owners := _models_with(unknown[1]))
        and issubclass(getattr(settings, unknown[2], int), settings.ModelConfig)
    ):
        return f"model.{unknown[1]} is a setting of model={', '.join(owners)}, not of the chosen one"
    if unknown is not None and hasattr(settings, unknown[2]):
        return _unknown_setting(unknown[1], list(getattr(settings, unknown[2]).__dataclass_fields__))
    options = r"(Available options in '[^']*':)\s*((?:\n\t.*)+)"
    texts = [re.sub(options, lambda found: f"{found[1]} {', '.join(found[2].split())}", text) for text in texts]
    lines = [line.strip() for text in texts for line in text.split("Config search path")[0].splitlines()]
    return "; ".join(dict.fromkeys(line.rstrip(".;") for line in lines if line and not line.startswith(noise)))


def _models_with(name: str) -> list[str]:
    """The architectures that have this setting."""
    return [model for model, schema in settings.MODEL_CONFIGS.items() if name in schema.__dataclass_fields__]


def _unknown_setting(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"there is no setting {name!r}" + (f": did you mean {close[0]!r}?" if close else f" among {', '.join(known)}")


def _one_line(text: str) -> str:
    return "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def register_schemas(name: str, schema: type) -> None:
    """Tell Hydra the fields of a command and of every architecture. Which of them is used, the group `model` decides alone."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import MISSING, OmegaConf

    node = OmegaConf.structured(schema)
    if issubclass(schema, settings.FitConfig):
        node.model = MISSING  # else only what inherits from the default architecture could take its place
    store = ConfigStore.instance()
    store.store(name=f"{name}_schema", node=node)
    for model, fields in settings.MODEL_CONFIGS.items():
        store.store(group="schema", name=model, node=fields)


def _hydra(name: str, schema: type, task: Task, afterwards: Afterwards | None) -> None:
    import hydra
    from omegaconf import DictConfig, OmegaConf

    register_schemas(name, schema)
    problems: list[BaseException] = []
    done: list[Job] = []
    sweep = cache(lambda: claimed(Path("runs", f"multirun-{time.strftime('%Y%m%d-%H%M%S')}")))

    def compose(composed: DictConfig) -> None:
        """Keep the first problem for ourselves: Hydra would print it in its own words. The rest of a sweep is not started."""
        if not problems:
            try:
                config = numbered(OmegaConf.to_object(composed), name, sweep)
                task(config)
                if in_multirun():
                    done.append(Job(config, job_overrides()))
            except BaseException as problem:
                problems.append(problem)

    added = [argument for argument in sys.argv[1:] if re.match(r"[+~]+\w", argument)]
    if added:
        raise ValueError(f"{added[0]!r}: settings are changed by name=value, none can be added or removed with + or ~")
    _check_written(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands its errors to us instead of printing them
    typed[:] = sys.argv[1:]
    sys.argv[1:] = [quote(argument) for argument in in_order(typed)]
    _check_options(sys.argv[1:])
    with ExitStack() as stack:
        forgotten = cache(lambda: stack.enter_context(tempfile.TemporaryDirectory()))  # for Hydra's note of a sweep, if any
        OmegaConf.register_new_resolver("forgotten", forgotten, replace=True)
        hydra.main(version_base="1.3", config_path="pkg://tsattn.conf", config_name=name)(compose)()
    try:
        if done and afterwards is not None:
            afterwards(done)
    finally:
        if problems:
            raise problems[0]


def in_order(arguments: list[str]) -> list[str]:
    """Options such as --multirun first, then settings: Hydra takes settings in one run only, people type them in any order."""
    options, settings = _parted(arguments)
    return options + settings


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(options with their values, settings)."""
    options: list[str] = []
    settings: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        value = before.startswith("-") and "=" not in argument  # as job in --cfg job
        (options if argument.startswith("-") or value else settings).append(argument)
    return options, settings


def _check_written(arguments: list[str]) -> None:
    """Raise a ValueError for what is no setting, such as a file without the name of the setting that takes it."""
    for argument in _parted(arguments)[1]:
        if "=" not in argument:
            hint = f": did you mean input={argument}?" if os.path.exists(os.path.expanduser(argument)) else ""
            raise ValueError(f"{argument!r} is no setting, settings are written name=value{hint}")


def _check_options(arguments: list[str]) -> None:
    """Raise a ValueError for an option that Hydra does not know, which it would answer with its whole usage."""
    from hydra._internal.utils import get_args_parser

    unknown = [one for one in get_args_parser().parse_known_args(arguments)[1] if one.startswith("-")]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no option: settings are written name=value, and --help lists them")


def numbered(config: Any, name: str, sweep: Callable[[], Path]) -> Any:
    """In a multirun, the settings with the number of the job in what is written: rm/0, rm/1; forecast-0.csv, forecast-1.csv.

    `sweep` makes the folder for the run folders of a training where no `output=` is given.
    """
    from hydra.core.hydra_config import HydraConfig

    if in_multirun():
        number = HydraConfig.get().job.num
        if name == "train":
            config.output = str(Path(config.output or sweep(), str(number)))
            return config
        for field in ("output", "plot"):
            path = getattr(config, field, None)
            if path is not None:
                setattr(config, field, str(_with_number(Path(path), number)))
    return config


def _with_number(path: Path, number: int) -> Path:
    name = path.name.removesuffix("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix)
    return path.with_name(f"{name}-{number}{path.name[len(name) :]}")


def in_multirun() -> bool:
    """Whether the running command is a sweep over several settings."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def job_overrides() -> dict[str, str]:
    """The settings that make the running job what it is, as they were written: those of the command line and of its sweep."""
    from hydra.core.hydra_config import HydraConfig

    pairs = (override.partition("=") for override in HydraConfig.get().overrides.task)
    return {name: value for name, _, value in pairs}


def same_command(name: str, **settings: object) -> str:
    """The running command as a line for the shell, with `settings` where the user gave none."""
    added = [f"{key}={value}" for key, value in settings.items() if not any(one.startswith(f"{key}=") for one in typed)]
    return shlex.join(["python", "-m", f"tsattn.{name}", *in_order(typed), *added])


def claimed(base: Path) -> Path:
    """A new folder `base`, or base-2, base-3 ... where it exists; no other process gets the same."""
    path, again = base, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            again += 1
            path = base.with_name(f"{base.name}-{again}")


def given(group: str) -> set[str]:
    """The fields of a group of settings that the command line sets, also to their defaults; for a running command."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    names: set[str] = set()
    for override in OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task)):
        head, _, name = override.key_or_group.partition(".")
        value = override.value()
        if head == group:
            names |= {name} if name else set(value) if isinstance(value, dict) else set()
    return names


def quote(argument: str) -> str:
    """The override with its value quoted where it is a path or free text, so that Hydra's grammar does not read it.

    `input=a(1).csv` becomes `input='a(1).csv'`; `~` is expanded in paths; `null` and quoted values stay what they are, and in
    `read.time=[a,b]` the names are quoted one by one; one name in `covariates.known=a` is a list of one.
    """
    if re.match(r"values=[^\[]*,", argument):
        return f"values=[{argument.removeprefix('values=')}]"
    match = QUOTED.fullmatch(argument)
    if match is None:
        return argument
    key, value = match.groups()
    if value in ("null", "") or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
        return argument
    if key in PATHS:
        value = os.path.expanduser(value)
    elif value.startswith("[") and value.endswith("]"):
        parts = re.findall(r"""\s*("[^"]*"|'[^']*'|[^,]+)""", value[1:-1])  # a comma between quotes belongs to the name
        return f"{key}=[{','.join(_quoted(part.strip()) for part in parts if part.strip())}]"
    return f"{key}=[{_quoted(value)}]" if key.startswith("covariates.") else f"{key}={_quoted(value)}"


def _quoted(text: str) -> str:
    """`text` as a string of Hydra's grammar: quotes and interpolations escaped, backslashes before them doubled."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return "'" + re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + "\\${", escaped) + "'"


def table_of(config: Any) -> Any:
    """What the command reads: `values=`, `input=` or the dataset; a ValueError names the choices when there is none."""
    values = getattr(config, "values", None)
    if values is not None:
        if not isinstance(values, list):
            raise ValueError(f"values={values!r} must be a list of numbers, for example values=[2,5,10,6,8]")
        if config.input is not None:
            raise ValueError("values= and input= exclude each other: give one of them")
        return values
    dataset = config.dataset
    path = config.input if config.input is not None else dataset.path or _path_in_data_folder(dataset)
    if path is None:
        raise ValueError(
            f"dataset={dataset.name} needs a file: input=FILE or dataset.path=FILE; dataset=image_counts is the built-in sample"
        )
    if path.startswith("sample:"):
        from importlib.resources import files

        return str(files("tsattn.sample_data") / path.removeprefix("sample:"))
    if config.input is None and dataset.sha256:
        _check_sha256(path, dataset)
    return path


def _path_in_data_folder(dataset: Any) -> str | None:
    """Where a named data set lies below the folder of data sets; None for a table that has no place there."""
    if not dataset.stored_as:
        return None
    folder = os.environ.get(DATA_FOLDER)
    if not folder:
        raise ValueError(
            f"dataset={dataset.name} is not shipped: set {DATA_FOLDER} to the folder that holds {dataset.stored_as}, "
            "or give dataset.path=FILE"
        )
    return str(Path(folder).expanduser() / dataset.stored_as)


def named_dataset(config: Any) -> Any:
    """The `DatasetConfig` that is read; None where it is a file or numbers of the user's own."""
    own = config.input is not None or getattr(config, "values", None) is not None
    return None if own else config.dataset


def say_origin(config: Any) -> None:
    """Print where the numbers come from, where they are a named data set."""
    dataset = named_dataset(config)
    if dataset is not None and dataset.origin:
        print(f"this is {printable(dataset.origin)}", flush=True)


def _check_sha256(path: str, dataset: Any) -> None:
    """Refuse another file than the named data set; of a .gz file the content counts."""
    import gzip

    content = Path(path).read_bytes()
    content = gzip.decompress(content) if path.endswith(".gz") else content
    found = hashlib.sha256(content).hexdigest()
    if found != dataset.sha256:
        raise ValueError(
            f"{path} is not the data set {dataset.name} ({dataset.origin}): its SHA-256 is {found}, expected {dataset.sha256}; "
            f"for a file of your own use input={path}"
        )
