"""numba, imported in one place: a Python function in, its compiled twin out, which the next process finds again.

numba's own cache lies beside the source, where it outlives an uninstallation, and goes by one source file, so that a
change in what a function calls goes unseen. Here compiled code lies in the user's cache folder, or where
NUMBA_CACHE_DIR says. It is found by the text of every module with compiled functions, and each kind of arguments has a
file of its own, written whole or not at all. Where nothing can be written, each process compiles anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ..errors import SpmError
from .files import write_whole

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
MARK = b"njit"  # the modules whose text has it are all that goes into compiled code: a test holds that


@overload
def njit(function: F, /) -> F: ...
@overload
def njit(**options: Any) -> Callable[[F], F]: ...
def njit(function: Any = None, /, **options: Any) -> Any:
    """Compile a function at its first call with each kind of arguments; it runs without Python's lock.

    Parameters
    ----------
    function : callable
        Functions of spm's modules are kept for the next process, others are not.
    **options
        numba's: ``fastmath``, ``inline``, ``error_model``.

    Examples
    --------
    >>> @njit
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """

    def compiled(function: Any) -> Any:
        dispatcher = numba.njit(nogil=True, **options)(function)
        file = Path(function.__code__.co_filename)
        known = file.is_relative_to(PACKAGE) and file.is_file() and function.__closure__ is None
        if known and hasattr(dispatcher, "py_func"):  # NUMBA_DISABLE_JIT gives the function itself
            dispatcher._cache = _Cache(function, file)
        return dispatcher

    return compiled if function is None else compiled(function)


def folder() -> Path:
    """Return where compiled code is kept.

    Raises
    ------
    OSError
        If this user has no home to keep it in.
    """
    chosen = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    if not chosen:
        from platformdirs import user_cache_path

        chosen = user_cache_path("spm") / "compiled"
        if not chosen.is_absolute():  # an unknown user's "~"
            raise OSError(f"there is no home folder for {chosen}")
    return Path(chosen).absolute() / f"spm-{_digest()}-numba-{numba.__version__}"


@lru_cache(maxsize=1)
def _digest() -> str:
    """Return what stands for the text of all modules from which code is compiled."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        if MARK in text:
            digest.update(b"%s %d\n" % (path.relative_to(PACKAGE).as_posix().encode(), len(text)) + text)
    return digest.hexdigest()[:16]


class _Cache:
    """What a dispatcher of numba's asks for compiled code: it works where it cannot write, and trusts no torn file.

    Each kind of arguments has its own file: numba's index of several can be written by two processes at once, and
    then names the one's code for the other's arguments.
    """

    told = False  # one warning a process

    def __init__(self, function: Callable[..., Any], file: Path) -> None:
        name = ".".join([*file.relative_to(PACKAGE).with_suffix("").parts, function.__qualname__])
        self.name = name.replace("<", "").replace(">", "")
        # a process that lives on while its modules are edited has an older digest than the texts it imports later
        self.stamp = (hashlib.sha256(file.read_bytes()).hexdigest(), function.__code__.co_firstlineno)

    @property
    def cache_path(self) -> str:
        """For the dispatcher's `stats`."""
        return os.fspath(folder())

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what an earlier process compiled for these types, or None."""
        context.refresh()
        key = self._key(signature, context.codegen())
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        found, payload = pickle.loads(content[32:])
        return CompileResult._rebuild(context, *payload) if found == key else None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled for these types."""
        if result.lifted or result.library.has_dynamic_globals:
            return
        key = self._key(signature, result.codegen)
        content = dumps((key, result._reduce()))
        try:
            folder().mkdir(parents=True, exist_ok=True)
            whole = hashlib.sha256(content).digest() + content  # what is broken is seen by that, and made anew
            write_whole(self._path(key), whole, "compiled code", flush=False)
        except (OSError, SpmError) as error:
            if not _Cache.told:
                _Cache.told = True
                log.warning(
                    "compiled code cannot be kept (%s): every process makes it anew, which takes seconds. "
                    "Set NUMBA_CACHE_DIR to a folder that can be written.",
                    error,
                )

    def flush(self) -> None:
        """Forget what is kept of this function."""
        for path in folder().glob(f"{self.name}-*.pickle"):
            path.unlink(missing_ok=True)

    def _key(self, signature: Any, codegen: Any) -> str:
        return repr((self.name, self.stamp, sys.version, str(signature), codegen.magic_tuple()))

    def _path(self, key: str) -> Path:
        return folder() / f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.pickle"
