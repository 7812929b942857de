"""The command `model-manager`, in this process."""

from __future__ import annotations

import signal
import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(prog: str = "model-manager", argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code. Output goes where `sys.stdout` and `sys.stderr` go.

    Args:
        prog: The program's name in help and errors.
        argv: What follows it. Default: that of this process.
    """
    words = [prog, *(sys.argv[1:] if argv is None else argv)]
    # The command listens for Ctrl-C itself; before it does and after, the process just ends. Handlers can be set in the main
    # thread only.
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler and argv is None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:
        pass
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    streams = [(stream, number) for stream, number in ((sys.stdout, 1), (sys.stderr, 2)) if not _is_own(stream, number)]
    if not streams:
        return _native.cli_main(words)
    from ._redirect import redirected

    with redirected(streams):
        return _native.cli_main(words)


def _is_own(stream: object, descriptor: int) -> bool:
    """Whether a stream writes to the descriptor that the command writes to. A process without it shows nothing anyway."""
    if stream is None:
        return True
    try:
        return bool(stream.fileno() == descriptor)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
