"""What the source never does: run code that came with a file, start programs, open connections."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import tsattn

SOURCE = Path(tsattn.__file__).parent
MODULES = {
    *("pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "yaml", "pty"),
    *("subprocess", "multiprocessing", "ctypes", "cffi", "runpy", "code", "codeop", "imp", "pkgutil", "zipimport"),
    *("urllib", "http", "requests", "httpx", "aiohttp", "ssl", "ftplib", "smtplib", "telnetlib", "socketserver", "websockets"),
    *("asyncio", "xmlrpc", "paramiko", "fsspec", "pooch", "huggingface_hub", "webbrowser", "urllib3"),
    *("builtins", "posix", "nt", "_posixsubprocess", "_socket", "numexpr"),
}
NAMES = {"eval", "exec", "compile", "__import__", "__builtins__", "globals", "locals"}
ENDS = {  # how a dotted name ends, wherever it stands
    *("os.system", "os.popen", "os.startfile", "tempfile.mktemp", "hydra.utils", "sys.settrace", "cloud_io", "cloud_io._load"),
    *("importlib.util", "importlib.machinery", "importlib.reload", "operator.attrgetter", "operator.methodcaller"),
    *("read_pickle", "to_pickle", "load_from_checkpoint", "instantiate", "get_class", "get_method", "get_object"),
    *("unsafe_load", "full_load", "unsafe_load_all", "load_state_dict_from_url", "download_url_to_file", "read_hdf"),
    *("load_library", "__dict__", "__globals__", "__subclasses__", "__getattribute__"),
}
BEGINNINGS = (
    *("os.exec", "os.spawn", "os.posix_spawn", "os.fork", "pandas.read_", "pandas.eval", "pandas.io", "pandas.core"),
    *("torch.load", "torch.serialization", "torch.hub", "torch.jit.load", "torch.package", "torch.utils.cpp_extension"),
    *("torch.utils.model_zoo", "torch.export", "numpy.load", "numpy.genfromtxt", "numpy.DataSource", "polars.", "pyarrow.fs"),
)
OF_ANYTHING = {"eval", "query"}  # of a frame they run what is written in a text; `network.eval()` and `self.query` are others
ALLOWED_OF_SOCKET = {"socket.gethostname"}
ONLY_IN = {
    "importlib.import_module": {"tsattn/__init__.py"},  # of names that stand in that file
    "sys.modules": {"tsattn/turns.py", "tsattn/testing/conduct.py"},  # whether something was loaded
}
LOADS = "tsattn/training/checkpoint.py"  # the one torch.load, with weights_only=True
ALLOCATOR = "tsattn/training/allocator.py"  # asks the C library that runs already; no other is loaded


def dotted(node: ast.AST) -> str:
    """a.b.c of such an expression, ?.c where c belongs to the value of another one, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner or '?'}.{node.attr}"
    return ""


def whole_names(tree: ast.AST) -> dict[str, str]:
    """{name in the file: where it comes from}, of everything imported: `import numpy as np` gives {"np": "numpy"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                found[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def keyword(call: ast.Call, name: str) -> object:
    """The constant that is passed under that name, None where none is."""
    return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)


def is_one_of(name: str, ends: set[str]) -> bool:
    """Whether a dotted name ends like one of these, at a dot."""
    return any(f".{name}".endswith(f".{end}") for end in ends)


def offences(source: str, path: str = "") -> list[str]:
    """What a module does that no module may, with the line; empty where there is nothing."""
    tree, found = ast.parse(source), []
    known = whole_names(tree)

    def whole(node: ast.AST) -> str:
        first, _, rest = dotted(node).partition(".")
        return f"{known.get(first, first)}.{rest}".rstrip(".")

    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    harmless = {id(call.func) for call in calls if is_harmless_call(whole(call.func), call, path)}
    placed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    placed |= {id(call.args[0]) for call in calls if call.args and dotted(call.func) in ("getattr", "hasattr")}
    placed |= {id(node.left) for node in ast.walk(tree) if isinstance(node, ast.Compare)}  # `fcntl is None`
    for node in ast.walk(tree):
        wrong: list[str] = []
        if isinstance(node, ast.Import | ast.ImportFrom):
            wrong = [name for name in imported(node) if is_module(name, path) or is_forbidden(name, path)]
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            bare = isinstance(node, ast.Name) and node.id in modules_of(tree) and id(node) not in placed
            wrong = [whole(node)] if bare or (is_forbidden(whole(node), path) and id(node) not in harmless) else []
        elif isinstance(node, ast.Call):
            wrong = [ast.unparse(node)] if is_forbidden_call(node, whole, modules_of(tree), path) else []
        found += [f"{getattr(node, 'lineno', 0)}: {name}" for name in wrong]
    return found


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The whole names of what an import brings in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


@cache
def modules_of(tree: ast.AST) -> set[str]:
    """Names in the file that are modules of others: an import without a `from`."""
    found = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {alias.asname or alias.name.split(".")[0] for alias in found}


def is_module(name: str, path: str) -> bool:
    """Whether the import is of a module that none may have."""
    return name.split(".")[0] in MODULES and (name, path) != ("ctypes", ALLOCATOR)


def is_forbidden(name: str, path: str) -> bool:
    """Of a name that is imported or used, wherever it stands."""
    if name in ONLY_IN:
        return path not in ONLY_IN[name]
    if name.startswith("ctypes."):
        return True
    if name.startswith("socket."):
        return name not in ALLOWED_OF_SOCKET
    first, last = name.partition(".")[0], name.rpartition(".")[2]
    of_anything = "." in name and last in OF_ANYTHING and name != "self.query"
    return first in NAMES or last == "*" or of_anything or is_one_of(name, ENDS) or name.startswith(BEGINNINGS)


def is_harmless_call(name: str, call: ast.Call, path: str) -> bool:
    """Of calls by a name that is forbidden elsewhere."""
    if name == "torch.load":
        return path == LOADS and keyword(call, "weights_only") is True
    if name == "ctypes.CDLL":
        return path == ALLOCATOR and ast.unparse(call).endswith("CDLL(None)")
    return name.endswith(".eval") and not call.args and not call.keywords and not name.startswith("pandas.")


def is_forbidden_call(call: ast.Call, whole: Callable[[ast.AST], str], modules: set[str], path: str) -> bool:
    """Of calls that depend on what is passed: an attribute by its name counts as written with a dot."""
    if dotted(call.func) == "getattr" and dotted(call.args[0]) in modules:
        if isinstance(call.args[1], ast.Constant):
            return is_forbidden(f"{whole(call.args[0])}.{call.args[1].value}", path)
        return whole(call.args[0]) != "resource"  # its limits
    return keyword(call, "allow_pickle") is True or keyword(call, "shell") is True


PLANTED = [
    "import pickle",
    "import pickle as p",
    "from pickle import loads",
    "import joblib",
    "import dill",
    "import shelve",
    "import marshal",
    "from cloudpickle import load",
    "import yaml",
    "from yaml import load",
    "import subprocess",
    "from subprocess import run",
    "import multiprocessing",
    "import ctypes",
    "import urllib.request",
    "from urllib.request import urlopen",
    "import http.client",
    "import requests",
    "import ssl",
    "import socket\nsocket.create_connection(('a', 1))",
    "from socket import create_connection\ncreate_connection(('a', 1))",
    "import socket as s\ns.socket()",
    "import torch\ntorch.load('a')",
    "import torch\ntorch.load('a', weights_only=False)",
    "import torch as t\nt.load('a')",
    "from torch import load\nload('a')",
    "import torch\nflag = True\ntorch.load('a', weights_only=flag)",
    "import torch\ntorch.hub.load('a', 'b')",
    "from torch import hub",
    "import torch\ntorch.jit.load('a')",
    "import numpy as np\nnp.load('a')",
    "import numpy as np\nnp.load('a', allow_pickle=True)",
    "import numpy\nnumpy.load('a', None)",
    "import numpy as np\nnp.save('a', x, allow_pickle=True)",
    "import pandas as pd\npd.read_pickle('a')",
    "frame.to_pickle('a')",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'exec')",
    "__import__('os')",
    "run = eval",
    "map(eval, texts)",
    "import importlib\nimportlib.import_module(name)",
    "from importlib import import_module\nimport_module(name)",
    "import importlib.util\nimportlib.util.spec_from_file_location('a', 'b')",
    "from hydra.utils import instantiate",
    "import hydra\nhydra.utils.instantiate(config)",
    "from hydra import utils\nutils.instantiate(config)",
    "import os\nos.system('ls')",
    "import os as o\no.system('ls')",
    "from os import system",
    "import os\nos.popen('ls')",
    "import os\nos.execv('a', [])",
    "import os\nos.fork()",
    "import os\ngetattr(os, 'sys' + 'tem')('ls')",
    "import tempfile\ntempfile.mktemp()",
    "from tempfile import mktemp",
    "Module.load_from_checkpoint('a')",
    "import builtins\ngetattr(builtins, name)",
    "import torch\nf = torch.load\nf(x)",
    "import torch\nf = torch.load\nf(x, weights_only=True)",
    "import torch\ntorch.load('a', weights_only=True)",  # in another file than the one that may
    "import torch\ntorch.serialization.load('a')",
    "from torch.serialization import load\nload('a')",
    "from torch import serialization",
    "import torch\ngetattr(torch, 'load')('a')",
    "import torch\ngetattr(torch, name)('a')",
    "import torch\nt = torch\nt.load('a')",
    "import torch\nvars(torch)['load']('a')",
    "import torch\ntorch.__dict__['load']('a')",
    "from operator import attrgetter\nattrgetter('load')",
    "import lightning_fabric\nlightning_fabric.utilities.cloud_io._load('a')",
    "from lightning_fabric.utilities.cloud_io import _load\n_load('a')",
    "from lightning_fabric.utilities import cloud_io",
    "import builtins\nbuiltins.eval('1')",
    "from builtins import eval as f",
    "__builtins__['eval']('1')",
    "globals()['__builtins__']",
    "import pandas as pd\npd.eval('1')",
    "from pandas import eval as f",
    "frame.query('a > 1')",
    "frame.eval('a + 1')",
    "f = frame.eval\nf('a + 1')",
    "load().query('a > 1')",
    "import posix\nposix.system('ls')",
    "from posix import system",
    "import sys\nsys.modules['os'].system('ls')",
    "from sys import modules\nmodules['os'].system('ls')",
    "import pandas as pd\npd.read_csv('http://a')",
    "from pandas import read_csv",
    "import numpy as np\nnp.loadtxt('http://a')",
    "import numpy as np\nf = np.load",
    "import pyarrow.fs",
    "import polars as pl\npl.read_csv('http://a')",
    "import webbrowser\nwebbrowser.open('http://a')",
    "from os import *",
    "import os\nf = os.system",
]
HARMLESS = [
    "import numpy as np\nnp.save('a', x, allow_pickle=False)",
    "import socket\nsocket.gethostname()",
    "import re\nre.compile('a')",
    "network.eval()",
    "import json\njson.load(file)",
    "from safetensors.torch import load\nload(content)",
    "network.load_state_dict(state)",
    "import os\nos.replace('a', 'b')",
    "import os\ngetattr(os, 'O_NOFOLLOW', 0)",
    "import signal\ngetattr(signal, 'SIGHUP', None)",
    "network.cpu().eval()",
    "from tsattn import config as settings\ngetattr(settings, name)",
    "self.query(x)",
    "'eval(1), pickle.loads'",
]


@pytest.mark.parametrize("source", PLANTED, ids=lambda source: source.replace("\n", "; "))
def test_a_planted_offence_is_found(source):
    assert offences(source)


@pytest.mark.parametrize("source", HARMLESS, ids=lambda source: source.replace("\n", "; "))
def test_what_is_harmless_is_let_through(source):
    assert offences(source) == []


def test_nothing_in_the_source_runs_code_from_a_file_starts_a_program_or_opens_a_connection():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = f"tsattn/{path.relative_to(SOURCE).as_posix()}"
        if wrong := offences(path.read_text(encoding="utf-8"), name):
            found[name] = wrong
    assert found == {}


def test_a_checkpoint_is_loaded_in_one_place_and_as_numbers_alone():
    allowed = "import torch\ntorch.load('a', weights_only=True)"
    assert offences(allowed, LOADS) == []
    for other in ("torch.load('a')", "torch.load('a', weights_only=False)", "f = torch.load", "torch.serialization.load('a')"):
        assert offences(f"import torch\n{other}", LOADS)
    lines = [
        line for path in SOURCE.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines() if "torch.load" in line
    ]
    assert len(lines) == 1


def test_the_c_library_of_the_process_is_asked_in_one_place_and_no_other_is_loaded():
    assert offences("import ctypes\nctypes.CDLL(None).malloc_trim(0)", ALLOCATOR) == []
    assert offences("import ctypes\nctypes.CDLL(None)", LOADS)
    for other in (
        "ctypes.CDLL('a.so')",
        "ctypes.CDLL(name)",
        "ctypes.cdll.LoadLibrary('a')",
        "f = ctypes.CDLL",
        "ctypes.PyDLL(None)",
    ):
        assert offences(f"import ctypes\n{other}", ALLOCATOR)
    assert offences("from ctypes import CDLL", ALLOCATOR)


def test_the_one_import_by_name_knows_its_names():
    """The public names of the package are loaded on first use, from a table in the source."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func).endswith("import_module")]
    assert len(calls) == 1
    with pytest.raises(AttributeError):
        tsattn.os  # noqa: B018
