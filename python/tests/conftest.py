from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hub import PROGRAM, Hub

MakeHub = Callable[..., Hub]

# A shell without job control starts what it runs in the background deaf to Ctrl-C, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and an environment that know nothing of this machine; the current directory is a fresh project's."""
    for name in list(os.environ):
        if name.startswith(("HF_", "MODEL_MANAGER_", "HUGGING", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    # A Hub that nobody answers for, so that no test reaches the network by accident.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHub]:
    """Starts a Hub and makes it the endpoint."""
    hubs: list[Hub] = []

    def start(repos: Mapping[str, Mapping[str, bytes] | Path], *options: str) -> Hub:
        assert PROGRAM.exists(), f"{PROGRAM} is missing: cargo build --example test_hub"
        hubs.append(Hub(tmp_path / f"hub{len(hubs)}", repos, *options))
        monkeypatch.setenv("HF_ENDPOINT", hubs[-1].url)
        return hubs[-1]

    yield start
    for one in hubs:
        one.close()


def write_registry(models: dict[str, Any], path: Path = Path("configs/models.yaml")) -> Path:
    """Writes a registry; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"models": models}, indent=2))
    return path


def model(file: str, repo: str = "test/test-model-gguf", quant: str = "q4_k_m", **fields: Any) -> dict[str, Any]:
    """A registry entry as the guide's template has it."""
    return {"huggingface_id": repo, "formats": {"gguf": {quant: {"file": file, "sha256": None, **fields}}}}


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs this interpreter."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, **options)
