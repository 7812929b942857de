"""Results that stand for a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T", bound="PathText")


class HasPath:
    """A result with a `path`, which `str()`, `os.fspath()` and `open()` take it for."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        """Its path, so that it can be given to `open` and friends."""
        return str(self.path)


class PathText(str):
    """A result that is its path: a `str`, equal to the path as a text, so that every loader takes it as it is.

    What it tells besides are its attributes, which win over methods of `str` of the same name.
    """

    path: Path

    def __new__(cls: type[T], *values: Any, **named: Any) -> T:
        # A copy and a pickle give the text alone.
        path = named["path"] if "path" in named else values[0]
        return super().__new__(cls, str(path))

    def __fspath__(self) -> str:
        """Its path."""
        return str(self)
