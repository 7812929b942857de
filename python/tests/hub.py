"""The test Hub of the Rust tests as a child process, and files for it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("MODEL_MANAGER_TEST_HUB", REPOSITORY / "target/debug/examples/test_hub"))
MIB = 1 << 20


def gguf(size: int = 4096, seed: int = 1) -> bytes:
    """A GGUF file of version 3 with one key, no tensors and noise behind it."""

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    return head + random.Random(seed).randbytes(size - len(head))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Hub:
    """Serves ``{"owner/name": {"file": content}}`` until it is closed; a folder may stand for the files in it."""

    def __init__(self, folder: Path, repos: Mapping[str, Mapping[str, bytes] | Path], *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for repo, files in repos.items():
            if isinstance(files, Path):
                shutil.copytree(files, folder / repo)
                continue
            for name, content in files.items():
                path = folder / repo / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        command = [str(PROGRAM), "--port", "0", "--dir", str(folder), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url: str = self._answer()["hub"]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stats(self) -> dict[str, Any]:
        self.tell("stats")
        answer: dict[str, Any] = self._answer()
        return answer

    def content_bytes(self) -> int:
        count: int = self.stats()["content_bytes"]
        return count

    def requests(self) -> int:
        return len(self.stats()["requests"])

    def close(self) -> None:
        self._process.communicate(timeout=10)
