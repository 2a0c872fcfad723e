"""Writing files so that nothing is lost: a reader sees the old content or the new, whatever happens in between."""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
from pathlib import Path

PREFIX = ".tsattn-"
_number = itertools.count()


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write to a temporary file in the same folder, sync it, and let it take the place of `path`.

    A link is followed; what is no regular file (a pipe, /dev/stdout) is written to directly. Temporary files that a killed
    process of this machine left in the folder are removed. An OSError names `path`.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        remove_leftovers(target.parent)
        temporary = target.parent / f"{PREFIX}{_host()}-{os.getpid()}-{next(_number)}.tmp"
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as problem:
        raise OSError(problem.errno, os.strerror(problem.errno or errno.EIO), str(path)) from problem


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in `folder` whose process, on this machine, is no longer there."""
    for path in folder.glob(f"{PREFIX}{_host()}-*.tmp"):
        found = re.fullmatch(rf"{re.escape(PREFIX + _host())}-(\d+)-\d+\.tmp", path.name)
        if found and not _is_alive(int(found[1])):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname())[:64]


def _sync_folder(folder: Path) -> None:
    """Make the new name outlast a power cut, where the system can (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(handle)
