"""Every block of Python in python/README.md, from top to bottom, in one project."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import MakeHub
from hub import REPOSITORY, gguf

PAGE = (REPOSITORY / "python/README.md").read_text(encoding="utf-8")
MODELS = ("tinyllama-1.1b-chat", "mistral-7b-instruct-v0.2", "phi-2")


def test_every_block_of_the_page_runs(hub: MakeHub) -> None:
    Path("configs/backend").mkdir(parents=True)
    # As people write it: `add` edits no file in flow style.
    text = "models:\n"
    for name in MODELS:
        text += f"  {name}:\n    huggingface_id: TheBloke/{name}-GGUF\n    formats:\n      gguf:\n"
        text += f"        q4_k_m: {{file: {name}.Q4_K_M.gguf}}\n        q8_0: {{file: {name}.Q8_0.gguf}}\n"
    Path("configs/models.yaml").write_text(text)
    files = {f"TheBloke/{name}-GGUF": {f"{name}.{quant}.gguf": gguf() for quant in ("Q4_K_M", "Q8_0")} for name in MODELS}
    files |= {
        "bartowski/Qwen2.5-7B-Instruct-GGUF": {"Qwen2.5-7B-Instruct-Q4_K_M.gguf": gguf(seed=2)},
        "owner/repo": {"config.json": b"{}", "README.md": b"# A model"},
    }
    hub(files)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6 and len(blocks) == PAGE.count("```python")
    names: dict[str, object] = {}
    for block in blocks:
        # What is used is here by then: the page does not show each download.
        if "manager.use(" in block:
            exec('import model_manager; model_manager.download("phi-2")', names)
        exec(compile(block, "README.md", "exec"), names)
    assert Path("models/owner--repo/files/main/config.json").read_text() == "{}"
