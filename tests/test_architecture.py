"""The house: who may import whom, and that every configuration composes."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import tsattn
from tsattn import cli
from tsattn import config as settings
from tsattn.pretrain_config import LengthConfig, default_prior, default_short_prior

ROOT = Path(tsattn.__file__).parent
COMMANDS = {
    "train": settings.TrainConfig,
    "predict": settings.PredictConfig,
    "backtest": settings.BacktestConfig,
    "pretrain": tsattn.PretrainConfig,
}
READERS = (
    "read",
    "columns",
    "raw.load",
    "raw.objects",
    "cells.convert",
    "declared",
    "cells.times",
    "cells.forms",
    "cells.doubts",
    "several",
    "across",
    "hidden",
    "cells.zones",
    "reach",
    "bins",
)
PANDAS = {f"tsattn.data.{name}" for name in (*READERS, "frame", "calendar", "frequency", "cycles", "describe")} | {
    f"tsattn.{name}" for name in ("forecaster", "tables", "covariates", "evaluation", "plot")
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ["tsattn", *path.relative_to(ROOT).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    return found


def statements(node: ast.AST, *, inside_functions: bool):
    """All statements below `node` that run; `if TYPE_CHECKING` does not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if not inside_functions and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from statements(child, inside_functions=inside_functions)


@cache
def imports(name: str, *, inside_functions: bool = True) -> frozenset[str]:
    """Dotted names that a module imports: `from a import b` gives a.b where that is a module of ours, else a."""
    found = set()
    for node in statements(modules()[name], inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            assert node.module is not None
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & set(modules()) or {node.module}
    return frozenset(found)


def importers(library: str) -> set[str]:
    return {name for name in modules() if any(target.split(".")[0] == library for target in imports(name))}


# ---- fences ------------------------------------------------------------------------------------------------------------


def test_the_reader_of_imports_sees_what_there_is():
    assert {"pandas", "tsattn.fitting", "tsattn.store", "tsattn.config", "tsattn.evaluation"} <= imports("tsattn.forecaster")
    assert "tsattn.plot" in imports("tsattn.forecaster")
    assert "tsattn.plot" not in imports("tsattn.forecaster", inside_functions=False)
    assert "tsattn.data.frame" not in imports("tsattn.data.panel")  # under TYPE_CHECKING
    assert len(modules()) > 30


def test_hydra_is_known_to_the_commands_and_their_helper_alone():
    assert importers("hydra") | importers("omegaconf") <= {"tsattn.cli", *(f"tsattn.{name}" for name in COMMANDS)}
    assert importers("hydra") == {"tsattn.cli"}


def test_lightning_is_known_to_training_alone():
    users = importers("pytorch_lightning") | importers("lightning") | importers("lightning_fabric")
    assert users
    assert all(name.startswith("tsattn.training.") for name in users)


def test_rich_is_imported_by_training_alone_which_keeps_the_random_state_of_the_caller():
    users = importers("rich")
    assert "tsattn.training" in users
    assert all(name.split(".")[:2] == ["tsattn", "training"] for name in users)


def test_pandas_is_known_to_tables_alone():
    assert importers("pandas") <= PANDAS


def test_other_libraries_stay_where_they_belong():
    assert importers("matplotlib") <= {"tsattn.plot"}
    assert importers("sklearn") == {"tsattn.data.covariates"}
    assert importers("pyarrow") <= {f"tsattn.data.{name}" for name in (*READERS, "raw.text", "cells.numbers", "cells.quick")}
    assert importers("safetensors") <= {"tsattn.store", "tsattn.synthetic.prior", "tsattn.training.pretraining_state"}
    assert importers("holidays") <= {"tsattn.data.holiday"}
    assert importers("yaml") | importers("pickle") | importers("polars") == set()


@pytest.mark.parametrize("part", ["tsattn.nn", "tsattn.models"])
def test_tensors_know_no_table_no_yaml_and_no_training(part):
    allowed = ("tsattn.nn", "tsattn.models", "tsattn.config")
    outside = {
        "torch",
        "numpy",
        "einops",
        "jaxtyping",
        "scipy",
        "math",
        "typing",
        "collections",
        "__future__",
        "dataclasses",
        "functools",
        "contextlib",
    }
    for name in modules():
        if name.startswith(part):
            ours = {target for target in imports(name) if target.startswith("tsattn")}
            assert all(target.startswith(allowed) for target in ours), name
            assert {target.split(".")[0] for target in imports(name) - ours} <= outside, name


def test_settings_know_nothing():
    assert imports("tsattn.config") <= {"__future__", "dataclasses", "typing"}


def test_the_package_itself_loads_only_the_standard_library():
    assert imports("tsattn", inside_functions=False) <= {"__future__", "importlib", "typing"}


def test_no_module_imports_a_command():
    commands = {f"tsattn.{name}" for name in COMMANDS}
    for name in modules():
        assert not imports(name) & commands, name
        if name not in commands:
            assert "tsattn.cli" not in imports(name), name


def test_the_corridor_does_not_reach_back():
    for name in modules():
        if name.startswith("tsattn.data"):
            assert all(
                target.startswith(("tsattn.data", "tsattn.config", "tsattn.turns"))
                for target in imports(name)
                if target.startswith("tsattn")
            )
        if not name.startswith("tsattn.data"):
            continue
        assert "torch" not in {target.split(".")[0] for target in imports(name)} or name == "tsattn.data.windows"


def test_modules_do_not_import_each_other_in_a_circle():
    edges = {name: imports(name, inside_functions=False) & set(modules()) - {name} for name in modules()}
    done: set[str] = set()
    while True:
        free = {name for name in edges if name not in done and edges[name] <= done}
        if not free:
            break
        done |= free
    assert done == set(edges), f"a circle among {sorted(set(edges) - done)}"


def test_the_back_test_does_not_know_the_forecaster_that_calls_it():
    assert "tsattn.evaluation" in imports("tsattn.forecaster", inside_functions=False)
    assert "tsattn.forecaster" not in imports("tsattn.evaluation")


# ---- configurations ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composed():
    """`composed("train", "seed=3")`: the settings object that the command would get."""
    for name, schema in COMMANDS.items():
        cli.register_schemas(name, schema)
    with initialize_config_module("tsattn.conf", version_base="1.3"):
        yield lambda name, *overrides: OmegaConf.to_object(compose(name, overrides=list(overrides)))


def choices(group: str) -> list[str]:
    names = [item.name for item in (resources.files("tsattn.conf") / group).iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_file_of_each_command_composes_into_its_dataclass(composed, name):
    assert type(composed(name)) is COMMANDS[name]
    assert f"{name}" in choices("")


@pytest.mark.parametrize("name", ["train", "backtest"])
@pytest.mark.parametrize("group", ["dataset", "model", "trainer", "experiment"])
def test_every_choice_of_every_group_composes(composed, name, group):
    assert choices(group)
    for choice in choices(group):
        config = composed(name, f"{group}={choice}")
        if group in ("dataset", "model"):
            assert getattr(config, group).name == choice.replace("auto", "encoder")
        if group == "trainer":
            assert config.trainer.accelerator == choice


def test_every_architecture_can_be_chosen():
    assert choices("model") == sorted(["auto", *settings.MODEL_CONFIGS])


def test_yaml_states_differences_only(composed):
    assert composed("train", "dataset=csv", "model=encoder", "trainer=auto") == settings.TrainConfig()
    assert composed("predict") == settings.PredictConfig()
    assert composed("backtest") == settings.BacktestConfig()
    assert composed("train", "model=patch").model == settings.PatchConfig()


def leaves(schema: type, prefix: str = ""):
    """(dotted name, value) of every field with its default."""
    default = schema()
    for field in fields(schema):
        value = getattr(default, field.name)
        if is_dataclass(value):
            yield from leaves(type(value), f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


TEXT = ("id", "time", "value", "weight", "sep", "decimal", "thousands", "encoding", "date_format", "tz")
PLAIN = (*TEXT, "count_per", "path", "sha256", "input", "future", "output", "load", "plot")
NEEDS = {"model.d_model": 8, "quantiles": [0.25, 0.5], "values": [1.5, 2.5]}  # what fits the other changed fields


def other_than(name: str, value: object) -> object:
    """A permitted value that differs from the default; for a choice among words the default itself."""
    if name in NEEDS:
        return NEEDS[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 2
    if isinstance(value, float):
        return value / 2 + 0.125
    if value is None:
        return "x y" if name.split(".")[-1] in PLAIN else 4
    return value


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_can_be_overridden_without_a_plus(composed, name):
    # the first excludes read.count_per; the others have parts of their own: below
    apart = ("read.resample", "lengths", "prior", "short_prior")
    changed = {key: other_than(key, value) for key, value in leaves(COMMANDS[name]) if key not in apart}
    text = [f"{key}={value}" for key, value in changed.items()]
    config = composed(name, *text)
    for key, value in changed.items():
        found = config
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value, key
    if name == "pretrain":
        lengths = "lengths=[{context: 32, num_future: 2, windows: 8, share: 0.5}]"
        found = composed(name, lengths, "prior.counts=0.7", "short_prior.counts=0.6")
        assert found.lengths == [LengthConfig(32, 2, 8, 0.5)]
        assert found.prior == {**default_prior(), "counts": 0.7}
        assert found.short_prior == {**default_short_prior(), "counts": 0.6}
    else:
        assert composed(name, "read.resample=MS").read.resample == "MS"


@pytest.mark.parametrize("name", COMMANDS)
def test_what_no_field_is_called_is_refused(composed, name):
    for override in ("horizn=3", "read.septum=x", "dataset.file=a"):
        with pytest.raises(Exception, match=r"Could not override|Key '\w+' not in|not in struct"):
            composed(name, override)
