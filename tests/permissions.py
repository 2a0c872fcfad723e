"""How a process is started whom permissions bind, also where an administrator runs the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

LACKING = "-dac_override,-dac_read_search"  # with these everything may be read and written
PREFIX = ["setpriv", f"--bounding-set={LACKING}", f"--inh-caps={LACKING}"]
WRITES = "import tempfile; tempfile.TemporaryFile(dir='.')"


def binding(folder: Path) -> list[str]:
    """What stands before such a command: nothing for a user whom they bind anyway. Skips the test where there is no way.

    `folder` must be empty; it may not be written afterwards.
    """
    folder.chmod(0o555)
    for prefix in ([], PREFIX if which("setpriv") else []):
        tried = subprocess.run([*prefix, sys.executable, "-c", WRITES], cwd=folder, capture_output=True, text=True)
        if "PermissionError" in tried.stderr:
            return prefix
    pytest.skip("this user may write everywhere, and setpriv is not there to change that")
