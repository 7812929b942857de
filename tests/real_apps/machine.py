"""A person's machine: a home, a project, a Hub that serves tiny models, and a look at what is on its disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "python/tests"))

from hub import Hub  # noqa: E402
from tiny_models import write_gguf, write_set  # noqa: E402

OURS = Path(os.environ.get("MODEL_MANAGER_BINARY", REPOSITORY / "target/debug/model-manager"))
ENVIRONMENTS = Path(os.environ.get("MODEL_MANAGER_REAL_APPS", REPOSITORY / "target/real-apps"))

# Repositories of the Hub and their weights.
GGUF, GGUF_FILE = "acme/tiny-gguf", "tiny.F16.gguf"
OTHER, OTHER_FILE = "acme/other-gguf", "other.F16.gguf"
SET = "acme/tiny-set"

# Inode, mode, length, time, and the hash or target of everything below a folder that is no folder.
Seen = dict[str, tuple[int, int, int, int, str]]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Machine:
    """Everything is below one folder, so on one volume."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        files = folder / "files"
        write_set(files / SET)
        for repo, name in ((GGUF, GGUF_FILE), (OTHER, OTHER_FILE)):
            (files / repo).mkdir(parents=True)
            write_gguf(files / repo / name)
        # Other weights in the same tensors.
        other = files / OTHER / OTHER_FILE
        other.write_bytes(other.read_bytes()[:-256] + bytes(256))
        self.files = files
        # The protocol for large files is Hugging Face's own server's, which is not here.
        self.hub = Hub(folder / "hub", {repo: files / repo for repo in (GGUF, OTHER, SET)}, "--no-xet")
        self.environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            # A host of its own: huggingface_hub 1 takes every port of a host for the Hub, and would send its token there.
            "HF_ENDPOINT": self.hub.url.replace("127.0.0.1", "localhost"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def run(self, *command: str | Path, cwd: Path | None = None, fails: bool = False, **environment: str) -> str:
        """What a program prints; it must succeed, unless it `fails`."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.project,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
        )
        shown = f"{' '.join(map(str, command))}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode != 0) == fails, shown
        return done.stdout

    def ours(self, *arguments: str | Path, fails: bool = False) -> Any:
        """The answer of a command of model-manager."""
        answer = self.run(OURS, "--json", *arguments, fails=fails)
        return None if fails else json.loads(answer)

    def blob(self, digest: str) -> Path:
        return self.project / "models/.blobs/sha256" / digest[:2] / digest

    def source(self, repo: str) -> dict[str, str]:
        """The files of a repository and their hashes."""
        root = self.files / repo
        return {str(path.relative_to(root)): sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}

    def assert_kept(self, digests: list[str], when: str) -> None:
        """Each blob is what its name says, what is shown is right, and nothing is wrong with the store."""
        for digest in digests:
            assert self.blob(digest).is_file(), f"the blob {digest} is gone: {when}"
            assert sha256(self.blob(digest)) == digest, f"the blob {digest} is another one: {when}"
        self.ours("verify")
        self.ours("gc")
        assert self.findings() == [], when

    def findings(self) -> list[dict[str, str]]:
        done = subprocess.run([OURS, "--json", "doctor", "--full"], cwd=self.project, env=self.environment, capture_output=True, text=True)
        found: list[dict[str, str]] = json.loads(done.stdout or done.stderr)["findings"]
        assert (done.returncode == 0) == (found == []), done
        return found

    def close(self) -> None:
        self.hub.close()


def seen(folder: Path) -> Seen:
    found: Seen = {}
    for parent, folders, files in os.walk(folder):
        for name in files + [name for name in folders if os.path.islink(os.path.join(parent, name))]:
            path = Path(parent, name)
            stat = path.lstat()
            what = os.readlink(path) if path.is_symlink() else sha256(path)
            found[str(path.relative_to(folder))] = (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns, what)
    return found
