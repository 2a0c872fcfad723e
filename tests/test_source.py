"""What the source never does: run code that came with a file, start programs, open connections."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tsattn

SOURCE = Path(tsattn.__file__).parent
MODULES = {
    *("pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "yaml", "pty"),
    *("subprocess", "multiprocessing", "ctypes", "cffi", "runpy", "code", "codeop", "imp", "pkgutil", "zipimport"),
    *("urllib", "http", "requests", "httpx", "aiohttp", "ssl", "ftplib", "smtplib", "telnetlib", "socketserver", "websockets"),
    *("asyncio", "xmlrpc", "paramiko", "fsspec", "pooch", "huggingface_hub"),
}
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {  # how a dotted name ends that is called, or passed on to be called
    *("os.system", "os.popen", "tempfile.mktemp", "torch.hub", "hydra.utils", "sys.settrace", "torch.jit.load"),
    *("torch.package", "torch.utils.cpp_extension", "importlib.util", "importlib.machinery", "importlib.reload"),
    *("read_pickle", "to_pickle", "load_from_checkpoint", "instantiate", "get_class", "get_method", "get_object"),
    *("unsafe_load", "full_load", "unsafe_load_all", "load_state_dict_from_url", "download_url_to_file", "read_hdf"),
}
PREFIXES = ("os.exec", "os.spawn", "os.posix_spawn", "os.fork")
ALLOWED_OF_SOCKET = {"socket.gethostname"}
LITERAL_IMPORTS = {"importlib.import_module": "tsattn/__init__.py"}  # of names that stand in that file


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

    for node in ast.walk(tree):
        wrong: list[str] = []
        if isinstance(node, ast.Import):
            wrong = [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES or is_one_of(alias.name, CALLS)]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            wrong = [name for name in names if name.split(".")[0] in MODULES or is_one_of(name, CALLS)]
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            wrong = [whole(node)] if is_forbidden(whole(node), path) else []
        elif isinstance(node, ast.Call):
            wrong = [ast.unparse(node)] if is_forbidden_call(whole(node.func), node) else []
        found += [f"{getattr(node, 'lineno', 0)}: {name}" for name in wrong]
    return found


def is_forbidden(name: str, path: str) -> bool:
    """Of a name that is used, wherever it stands."""
    if name in LITERAL_IMPORTS:
        return not path.endswith(LITERAL_IMPORTS[name])
    if name.startswith("socket."):
        return name not in ALLOWED_OF_SOCKET
    return name in NAMES or is_one_of(name, CALLS) or name.startswith(PREFIXES)


def is_forbidden_call(name: str, node: ast.Call) -> bool:
    """Of calls that depend on what is passed."""
    if name == "torch.load":
        return keyword(node, "weights_only") is not True
    if name == "numpy.load":
        return keyword(node, "allow_pickle") is not False
    if name == "getattr" and dotted(node.args[0]) in ("builtins", "__builtins__", "os"):
        return not (isinstance(node.args[1], ast.Constant) and str(node.args[1].value).startswith("O_"))
    return keyword(node, "allow_pickle") is True or keyword(node, "shell") is True


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
]
HARMLESS = [
    "import torch\ntorch.load('a', weights_only=True)",
    "import numpy as np\nnp.load('a', allow_pickle=False)",
    "import socket\nsocket.gethostname()",
    "import re\nre.compile('a')",
    "network.eval()",
    "import json\njson.load(file)",
    "from safetensors.torch import load\nload(content)",
    "network.load_state_dict(state)",
    "import os\nos.replace('a', 'b')",
    "import os\ngetattr(os, 'O_NOFOLLOW', 0)",
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


def test_the_one_import_by_name_knows_its_names():
    """The public names of the package are loaded on first use, from a table in the source."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func).endswith("import_module")]
    assert len(calls) == 1
    with pytest.raises(AttributeError):
        tsattn.os  # noqa: B018
