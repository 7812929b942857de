"""The logger of the package, `model_manager`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


def log(level: Literal["debug", "info", "warning", "error"], text: str, *values: object) -> None:
    """Logs a line."""
    # Imported when there is something to say: it takes longer than the rest of the package.
    import logging

    getattr(logging.getLogger("model_manager"), level)(text, *values, stacklevel=2)
