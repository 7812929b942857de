"""The command `model-manager`, in this process."""

from __future__ import annotations

import signal
import sys

from . import _native


def main(prog: str = "model-manager") -> int:
    """Runs the command line of `sys.argv` and returns its exit code. `prog` is its name in help and errors."""
    # The command listens for Ctrl-C itself; before it does and after, the process just ends.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    return _native.cli_main([prog, *sys.argv[1:]])
