"""Has what native code writes to the descriptors of output come out of `sys.stdout` and `sys.stderr`."""

from __future__ import annotations

import os
import threading
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO


@contextmanager
def redirected(streams: Iterable[tuple[TextIO, int]]) -> Iterator[None]:
    """While it lasts, for the whole process: what is written to each descriptor goes to its stream, which writes elsewhere."""
    with ExitStack() as all_of_them:
        for stream, descriptor in streams:
            all_of_them.enter_context(_into(stream, descriptor))
        yield


@contextmanager
def _into(stream: TextIO, descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:
        kept = None
    reading, writing = os.pipe()
    os.dup2(writing, descriptor)
    os.close(writing)

    def pump() -> None:
        decoder = getincrementaldecoder("utf-8")("replace")
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            while chunk := pipe.read(65536):
                stream.write(decoder.decode(chunk))
            stream.write(decoder.decode(b"", final=True))

    thread = threading.Thread(target=pump, name="model-manager-output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # The last writer's end is closed by this, so that the reader ends.
        if kept is None:
            os.close(descriptor)
        else:
            os.dup2(kept, descriptor)
            os.close(kept)
        thread.join()
        stream.flush()
