"""Writing files so that nothing is lost: a reader sees the old content or the new, whatever happens in between."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import socket
import stat
from contextlib import suppress
from pathlib import Path

PREFIX = ".tsattn-"
NEXT = f"{PREFIX}next"  # files that are complete and count, on their way to the folder above
ATTEMPTS = 100
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
        temporary = _temporary(target.parent)
        try:
            _write_synced(temporary, content)
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))  # who may read it was decided before
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as problem:
        raise _naming(problem, path) from problem


def replace_together(folder: Path, contents: dict[str, bytes]) -> None:
    """Write several files of a folder so that `newest` finds all of the old ones or all of the new, even after a kill.

    They are written and synced in a folder of their own inside `folder`. Its renaming to `NEXT` is the moment from which they
    count; then each moves to its place. An OSError names `folder`; before that moment it leaves the old files as they were.
    """
    try:
        for name in contents:
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        remove_leftovers(folder)
        stage = _temporary(folder)
        try:
            stage.mkdir()
            for name, content in contents.items():
                _write_synced(stage / name, content)
            _sync_folder(stage)
            _let_count(stage, list(contents))
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        _settle(folder, list(contents))
    except OSError as problem:
        raise _naming(problem, folder) from problem


def newest(folder: Path, name: str) -> Path:
    """Where the file `name` of `folder` lies that counts: in `NEXT` where a killed `replace_together` left it there."""
    waiting = folder / NEXT
    if waiting.is_symlink() or not os.path.lexists(waiting / name):
        return folder / name
    return waiting / name


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` whose process, on this machine, is no longer there."""
    for path in folder.glob(f"{PREFIX}{_host()}-*.tmp"):
        found = re.fullmatch(rf"{re.escape(PREFIX + _host())}-(\d+)-\d+\.tmp", path.name)
        if found and not _is_alive(int(found[1])):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _let_count(stage: Path, names: list[str]) -> None:
    """Rename `stage` to `NEXT`, after what another process left or put there has moved on."""
    for attempt in range(ATTEMPTS):
        _settle(stage.parent, names)
        try:
            os.rename(stage, stage.parent / NEXT)
        except OSError as problem:
            if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY) or attempt == ATTEMPTS - 1:
                raise
        else:
            _sync_folder(stage.parent)
            return


def _settle(folder: Path, names: list[str]) -> None:
    """Move the files in `NEXT` to their places. Several processes may do so at once: each file moves once."""
    waiting = folder / NEXT
    if waiting.is_symlink() or not waiting.is_dir():
        return
    for name in names:
        with suppress(FileNotFoundError):
            os.replace(waiting / name, folder / name)
    _sync_folder(folder)
    with suppress(OSError):  # another process has put its own files there by now, or removed it
        waiting.rmdir()


def _temporary(folder: Path) -> Path:
    return folder / f"{PREFIX}{_host()}-{os.getpid()}-{next(_number)}.tmp"


def _write_synced(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _naming(problem: OSError, path: str | os.PathLike[str]) -> OSError:
    """The same error about the path that the caller knows, not about a temporary one."""
    return OSError(problem.errno, os.strerror(problem.errno or errno.EIO), str(path))


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
    with suppress(OSError):  # a folder that may not be read, and some network file systems
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
