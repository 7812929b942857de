"""Every example of the model management guide, as it is written there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import MakeHub, model, python, write_registry
from hub import MIB, gguf
from model_manager import Manager


FILES = {
    "tinyllama-1.1b-chat": {"q4_k_m": "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf"},
    "llama-2-7b-chat": {"q4_k_m": "llama-2-7b-chat.Q4_K_M.gguf", "q8_0": "llama-2-7b-chat.Q8_0.gguf"},
    "mistral-7b-instruct-v0.2": {"q4_k_m": "mistral-7b-instruct-v0.2.Q4_K_M.gguf"},
}


@pytest.fixture
def guide(hub: MakeHub) -> None:
    """The guide's models, but small."""
    models = {
        name: {
            "huggingface_id": f"TheBloke/{name}-GGUF",
            "description": "as in the guide",
            "size_class": "medium",
            "formats": {"gguf": {quant: {"file": file, "sha256": None} for quant, file in files.items()}},
        }
        for name, files in FILES.items()
    }
    write_registry(models)
    hub({f"TheBloke/{name}-GGUF": {file: gguf(seed=len(file)) for file in files.values()} for name, files in FILES.items()})


def test_the_python_example(guide: None) -> None:
    done = python(str(Path(__file__).with_name("guide_example.py")))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Model downloaded to: models/mistral-7b-instruct-v0.2/gguf/q4_k_m/mistral-7b-instruct-v0.2.Q4_K_M.gguf",
        "mistral-7b-instruct-v0.2: 0.00 GB",
    ]


def test_the_storage_structure(guide: None) -> None:
    manager = Manager()
    for name, files in FILES.items():
        for quant, file in files.items():
            path = manager.download(name, quant=quant).path
            assert path == Path.cwd() / "models" / name / "gguf" / quant / file
            assert path.read_bytes()[:4] == b"GGUF"


def test_a_custom_model(hub: MakeHub) -> None:
    Path("configs").mkdir()
    Path("configs/models.yaml").write_text(
        """models:
  your-model-name:
    huggingface_id: "author/model-repo-name"
    description: "Description of the model"
    size_class: "medium"  # tiny, small, medium, large, xlarge
    formats:
      gguf:
        q4_k_m:
          file: "model-filename.Q4_K_M.gguf"
          sha256: null  # Optional: add SHA256 for verification
        q5_k_m:
          file: "model-filename.Q5_K_M.gguf"
          sha256: null
"""
    )
    hub({"author/model-repo-name": {"model-filename.Q4_K_M.gguf": gguf()}})
    assert Manager().download("your-model-name", quant="q4_k_m").download_bytes == 4096


COMMANDS = """
download tinyllama-1.1b-chat --format gguf --quant q4_k_m
download mistral-7b-instruct-v0.2 --format gguf --quant q4_k_m
list
download llama-2-7b-chat --quant q4_k_m
download llama-2-7b-chat --quant q8_0
download mistral-7b-instruct-v0.2 --quant q4_k_m --force
list --format gguf
verify llama-2-7b-chat --format gguf --quant q4_k_m
remove llama-2-7b-chat --format gguf --quant q4_k_m
remove llama-2-7b-chat --format gguf
info
info llama-2-7b-chat
verify mistral-7b-instruct-v0.2
remove mistral-7b-instruct-v0.2
download mistral-7b-instruct-v0.2 --force
"""


def said_both(lines: list[str]) -> None:
    assert [line.split()[:3] for line in lines] == [
        ["mistral-7b-instruct-v0.2", "gguf", "q4_k_m"],
        ["tinyllama-1.1b-chat", "gguf", "q4_k_m"],
    ]


def said_four(lines: list[str]) -> None:
    assert sorted({line.split()[0] for line in lines}) == sorted(FILES) and len(lines) == 4


def said_one_model(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "as in the guide" in text and "q4_k_m" in text and "q8_0" in text


SAID = {"list": said_both, "list --format gguf": said_four, "info llama-2-7b-chat": said_one_model}


def test_every_command(guide: None) -> None:
    deep = Path("src/deep")
    deep.mkdir(parents=True)
    for line in COMMANDS.strip().splitlines():
        done = python("-m", "tools.model_manager", *line.split(), cwd=deep)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if line.startswith("download"):
            assert Path(done.stdout.splitlines()[-1]).is_file(), line
        if line in SAID:
            SAID[line](done.stdout.splitlines())
    assert not Path("models/llama-2-7b-chat").exists()


def test_what_the_guide_says_about_failures(guide: None) -> None:
    def run(line: str) -> tuple[int, str]:
        done = python("-m", "tools.model_manager", *line.split())
        return done.returncode, done.stderr

    code, problem = run("verify llama-2-7b-chat --quant q4_k_m")
    assert code == 3 and "llama-2-7b-chat" in problem and "hint:" in problem
    assert run("remove llama-2-7b-chat")[0] == 3
    assert run("info nope")[0] == 3
    assert run("fly")[0] == 2
    path = Manager().download("tinyllama-1.1b-chat").path.resolve()
    path.chmod(0o644)
    path.write_bytes(b"damage" * 1000)
    code, _ = run("verify tinyllama-1.1b-chat")
    assert code == 4
    assert run("download tinyllama-1.1b-chat --force")[0] == 0
    assert run("verify tinyllama-1.1b-chat")[0] == 0


def test_ctrl_c_ends_the_command_as_it_ends_the_binary(hub: MakeHub) -> None:
    file = "big.Q4_K_M.gguf"
    write_registry({"big": model(file)})
    server = hub({"test/test-model-gguf": {file: gguf(16 * MIB)}}, "--total-rate", str(8 * MIB))
    command = [sys.executable, "-m", "tools.model_manager", "download", "big"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while server.content_bytes() < 8 * MIB:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, problem = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, ""), problem
    assert "Traceback" not in problem
    assert "Continue with: `python -m tools.model_manager download big" in problem
    assert Manager().download("big").download_bytes < 13 * MIB


def test_the_command_names_itself_as_it_was_called() -> None:
    for module in ("tools.model_manager", "model_manager"):
        assert f"Usage: python -m {module} " in python("-m", module, "--help").stdout
    failed = python("-m", "tools.model_manager", "download", "nope")
    assert failed.returncode == 3
    assert "nope" in failed.stderr


