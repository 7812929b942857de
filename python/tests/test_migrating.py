"""Every command and every line of Python in docs/migrating.md, in a project of the old tool."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import MakeHub, model, write_registry
from hub import REPOSITORY, Hub, gguf
from model_manager import ModelManager

PAGE = (REPOSITORY / "docs/migrating.md").read_text(encoding="utf-8")
NAMES = {"tinyllama-1.1b-chat": "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", "phi-2": "phi-2.Q4_K_M.gguf"}
OLD = Path("models/tinyllama-1.1b-chat/gguf/q4_k_m") / NAMES["tinyllama-1.1b-chat"]


@pytest.fixture
def server(hub: MakeHub) -> Hub:
    """A project as the old tool left it."""
    write_registry({name: model(file, f"TheBloke/{name}-GGUF") for name, file in NAMES.items()})
    cache = OLD.parent / ".cache/huggingface/download"
    cache.mkdir(parents=True)
    (cache / "x.metadata").write_text("old")
    OLD.write_bytes(gguf())
    tools = Path("python/tools/model_manager")
    tools.mkdir(parents=True)
    (tools / "__init__.py").write_text("raise ImportError('the old tool')\n")
    files = {f"TheBloke/{name}-GGUF": {file: gguf(), "README.md": b"# A model"} for name, file in NAMES.items()}
    return hub(files)


def blocks() -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(first: str) -> list[tuple[str, str]]:
    """The two cells of each row whose old cell begins so."""
    return re.findall(rf"^\| `({re.escape(first)}[^`]*)` \| `([^`]*)` \|$", PAGE, re.MULTILINE)


def run(command: str) -> str:
    # `python` and `model-manager` are those of this environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", command], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_from_top_to_bottom(server: Hub) -> None:
    kinds = [kind for kind, _ in blocks()]
    assert set(kinds) == {"sh", "python"} and len(kinds) == PAGE.count("\n```") / 2
    for kind, text in blocks():
        if kind == "python":
            exec(compile(text, "docs/migrating.md", "exec"), {"__name__": "__main__"})
        else:
            run(text)
        if "list\n" in text:
            assert server.content_bytes() == 0, "what the old tool fetched is not fetched again"
    assert OLD.read_bytes() == gguf() and not OLD.is_symlink(), "the last example of links made copies"
    assert not list(Path("models").rglob("huggingface")) and not Path("python/tools/model_manager").exists()
    assert "phi-2.Q4_K_M.gguf" in Path("configs/backend/llama_cpp.yaml").read_text()
    assert not Path("models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf").is_symlink()


def test_old_calls_and_new_ones(server: Hub) -> None:
    calls = rows("manager.")
    assert len(calls) == PAGE.count("\n| `manager.") >= 9
    manager = ModelManager()
    for old, new in calls:
        for call in (old, new):
            manager.download("phi-2")
            assert eval(call, {"manager": manager}), call


def test_old_commands_and_new_ones(server: Hub) -> None:
    commands = rows("python -m")
    assert len(commands) == PAGE.count("\n| `python -m") >= 6
    for old, new in commands:
        for command in (old, new):
            run("model-manager download phi-2:q4_k_m")
            run(command)


def test_the_line_for_a_package_of_ones_own_is_there() -> None:
    assert [line.strip() for line in PAGE.splitlines() if "extend_path" in line] == [
        '__path__ = __import__("pkgutil").extend_path(__path__, __name__)'
    ]
