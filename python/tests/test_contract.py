"""The contract with the tool that this one replaces, line by line."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from conftest import MakeHub, model, write_registry
from hub import gguf, sha256
from model_manager import ModelManager, UsageError

CONTENT = gguf()
FILE = "test-model.Q4_K_M.gguf"


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    config = write_registry({"test-model": model(FILE)}, tmp_path / "models.yaml")
    return ModelManager(models_dir=tmp_path / "models", config_path=config)


def put(manager: ModelManager, path: str, content: bytes = b"data") -> Path:
    file = manager.models_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_attributes(manager: ModelManager, tmp_path: Path) -> None:
    assert manager.models_dir == tmp_path / "models"
    assert manager.models_dir.is_dir()
    assert manager.config_path == tmp_path / "models.yaml"
    assert list(manager.registry["models"]) == ["test-model"]


def test_the_project_is_the_nearest_folder_above_with_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path.cwd()
    write_registry({})
    (root / "a/b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    manager = ModelManager()
    assert manager.models_dir == root / "models"
    assert manager.config_path == root / "configs/models.yaml"
    assert manager.project_root == root


def test_without_a_project_it_is_the_current_directory_and_the_built_in_registry() -> None:
    manager = ModelManager()
    assert manager.models_dir == Path.cwd() / "models"
    assert "tinyllama-1.1b-chat" in manager.registry["models"]


def test_strings_will_do_for_paths() -> None:
    config = write_registry({"test-model": model(FILE)})
    manager = ModelManager("models", str(config))
    assert manager.models_dir == Path("models")


def test_a_missing_registry_is_an_empty_one(caplog: pytest.LogCaptureFixture) -> None:
    manager = ModelManager(config_path=Path("nowhere.yaml"))
    assert manager.registry == {"models": {}}
    assert "nowhere.yaml" in caplog.text
    assert manager.download_model("test-model") is None


def test_a_broken_registry_is_an_empty_one_and_the_log_names_the_line(caplog: pytest.LogCaptureFixture) -> None:
    Path("bad.yaml").write_text("models:\n  a: [\n")
    manager = ModelManager(config_path="bad.yaml")
    assert manager.registry == {"models": {}}
    assert "bad.yaml" in caplog.text


def test_extra_keys_and_null_hashes_are_kept() -> None:
    Path("models.yaml").write_text(
        """
models:
  test-model:
    huggingface_id: test/test-model-gguf
    quantization_info: &info {bits: 4, ratio: 0.25, good: true}
    formats:
      gguf:
        q4_k_m: {file: a.gguf, sha256: null, note: x}
size_classes:
  tiny: {max: 1, info: {<<: *info}}
"""
    )
    registry = ModelManager(config_path="models.yaml").registry
    assert registry["size_classes"]["tiny"] == {"max": 1, "info": {"bits": 4, "ratio": 0.25, "good": True}}
    assert registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] is None


def test_download_returns_the_path_in_the_tree(manager: ModelManager, hub: MakeHub) -> None:
    server = hub({"test/test-model-gguf": {FILE: CONTENT}})
    manager = ModelManager(manager.models_dir, manager.config_path)
    path = manager.download_model("test-model", format="gguf", quantization="q4_k_m")
    assert path == manager.models_dir / "test-model/gguf/q4_k_m" / FILE
    assert path.read_bytes() == CONTENT
    # Present and valid: no network, by any spelling.
    before = server.requests()
    assert manager.download_model("test-model", "gguf", "q4_k_m") == path
    assert manager.download_model("test-model") == path
    assert server.requests() == before
    assert manager.download_model("test-model", "gguf", "q4_k_m", force=True) == path
    assert server.content_bytes() == 2 * len(CONTENT)


def test_a_relative_models_dir_gives_relative_paths(manager: ModelManager, hub: MakeHub) -> None:
    hub({"test/test-model-gguf": {FILE: CONTENT}})
    manager = ModelManager("models", manager.config_path)
    assert manager.download_model("test-model") == Path("models/test-model/gguf/q4_k_m") / FILE
    assert manager.get_model_path("test-model") == Path("models/test-model/gguf/q4_k_m") / FILE
    assert manager.list_models()[0]["path"] == str(Path("models/test-model/gguf/q4_k_m") / FILE)


@pytest.mark.parametrize(
    "wanted",
    [("nonexistent", "gguf"), ("test-model", "pytorch"), ("test-model", "gguf", "q8_0"), ("../../etc", "gguf"), ("test-model", "a/b"), ("",)],
)
def test_what_is_not_in_the_registry_is_none(
    manager: ModelManager, wanted: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    assert manager.download_model(*wanted) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_hub_that_is_not_there_is_none(manager: ModelManager, caplog: pytest.LogCaptureFixture) -> None:
    manager = ModelManager(manager.models_dir, manager.config_path, offline=True)
    assert manager.download_model("test-model") is None
    assert "test-model" in caplog.text


def test_a_changed_registry_is_seen(manager: ModelManager) -> None:
    file = put(manager, f"test-model/gguf/q4_k_m/{FILE}", CONTENT)
    manager.registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] = sha256(CONTENT)
    # Neither commit nor size is known, and still nobody is asked: the endpoint of these tests answers nobody.
    assert manager.download_model("test-model", "gguf", "q4_k_m") == file
    assert file.read_bytes() == CONTENT


def test_a_bad_hash_in_the_registry_spoils_downloads_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = write_registry({"test-model": model(FILE, sha256="abc123")}, tmp_path / "models.yaml")
    manager = ModelManager(tmp_path / "models", config)
    assert "test-model" in manager.registry["models"]
    file = put(manager, f"test-model/gguf/q4_k_m/{FILE}", CONTENT)
    assert manager.get_model_path("test-model", "gguf", "q4_k_m") == file
    assert manager.list_models() != []
    assert manager.download_model("test-model", "gguf", "q4_k_m") is None
    assert "sha256" in caplog.text
    manager.registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] = sha256(CONTENT)
    assert manager.download_model("test-model", "gguf", "q4_k_m") == file
    with pytest.raises(UsageError):
        manager.registry["models"]["test-model"]["formats"] = 5
        manager.download("test-model")


def test_verify(manager: ModelManager, tmp_path: Path) -> None:
    file = tmp_path / "test.gguf"
    assert not manager.verify_model(file)
    assert not manager.verify_model(None, expected_sha256="abc123...")
    file.write_bytes(CONTENT)
    assert manager.verify_model(file)
    assert manager.verify_model(file, expected_sha256=None)
    assert manager.verify_model(file, expected_sha256=sha256(CONTENT))
    assert manager.verify_model(str(file), sha256(CONTENT).upper())
    assert not manager.verify_model(file, expected_sha256="0" * 64)
    assert not manager.verify_model(file, expected_sha256="abc123...")
    assert not manager.verify_model(tmp_path, expected_sha256="0" * 64)
    assert manager.sha256(file) == sha256(CONTENT)


def test_list(manager: ModelManager) -> None:
    assert manager.list_models() == []
    path = put(manager, f"test-model/gguf/q4_k_m/{FILE}", CONTENT)
    put(manager, "test-model/pytorch/model.pt")
    put(manager, ".cache/huggingface/x/y.gguf")
    put(manager, "test-model/gguf/q4_k_m/.hidden")
    gguf_model, pytorch_model = manager.list_models()
    assert gguf_model == {
        "model": "test-model",
        "format": "gguf",
        "quantization": "q4_k_m",
        "file": FILE,
        "path": str(path),
        "size_bytes": len(CONTENT),
        "size_gb": len(CONTENT) / 1024**3,
    }
    assert (pytorch_model["format"], pytorch_model["quantization"], pytorch_model["file"]) == ("pytorch", None, "model.pt")
    assert manager.list_models(format_filter="pytorch") == [pytorch_model]
    assert manager.list_models(format_filter="gguf") == [gguf_model]
    assert manager.list_models(format_filter="nope") == []


def test_get_model_path(manager: ModelManager) -> None:
    assert manager.get_model_path("nonexistent", "gguf", "q4_k_m") is None
    assert manager.get_model_path("test-model") is None
    file = put(manager, f"test-model/gguf/q4_k_m/{FILE}")
    assert manager.get_model_path("test-model", "gguf", "q4_k_m") == file
    assert manager.get_model_path("test-model") == file
    assert manager.get_model_path("test-model", "gguf", "q5_k_m") is None
    assert manager.get_model_path("test-model", "pytorch") is None
    # A model of no registry, put there by hand.
    other = put(manager, "other/gguf/q8_0/other.gguf")
    assert manager.get_model_path("other", "gguf", "q8_0") == other


def test_remove_a_quantization_leaves_the_others(manager: ModelManager) -> None:
    q4 = put(manager, "test-model/gguf/q4_k_m/model.gguf")
    q5 = put(manager, "test-model/gguf/q5_k_m/model.gguf")
    assert manager.remove_model("test-model", format="gguf", quantization="q4_k_m")
    assert not q4.parent.exists()
    assert q5.exists()
    assert not manager.remove_model("test-model", format="gguf", quantization="q4_k_m")
    assert manager.remove_model("test-model", format="gguf", quantization="q5_k_m")
    assert list(manager.models_dir.iterdir()) == []


def test_remove_a_format(manager: ModelManager) -> None:
    put(manager, "test-model/gguf/model.gguf")
    pytorch = put(manager, "test-model/pytorch/model.pt")
    assert manager.remove_model("test-model", format="gguf")
    assert not (manager.models_dir / "test-model/gguf").exists()
    assert pytorch.exists()


def test_remove_a_model(manager: ModelManager, hub: MakeHub) -> None:
    hub({"test/test-model-gguf": {FILE: CONTENT}})
    manager = ModelManager(manager.models_dir, manager.config_path)
    assert not manager.remove_model("nonexistent")
    assert manager.download_model("test-model")
    put(manager, "test-model/pytorch/model.pt")
    other = put(manager, "other/gguf/q8_0/other.gguf")
    assert manager.remove_model("test-model")
    assert not (manager.models_dir / "test-model").exists()
    assert other.exists()
    assert not any((manager.store_dir / "sha256").glob("??/*"))


def test_remove_touches_nothing_behind_a_linked_folder(manager: ModelManager, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere/q4_k_m/precious.gguf"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"data")
    (manager.models_dir / "test-model").mkdir()
    os.symlink(tmp_path / "elsewhere", manager.models_dir / "test-model/gguf")
    manager.remove_model("test-model")
    assert precious.exists()


def test_a_tree_of_the_old_tool_stays_and_is_taken_over(manager: ModelManager, hub: MakeHub) -> None:
    server = hub({"test/test-model-gguf": {FILE: CONTENT}})
    manager = ModelManager(manager.models_dir, manager.config_path)
    old = put(manager, f"test-model/gguf/q4_k_m/{FILE}", CONTENT)
    junk = put(manager, "test-model/gguf/q4_k_m/.cache/huggingface/download/x.metadata")
    before = old.stat()
    assert manager.get_model_path("test-model", "gguf", "q4_k_m") == old
    assert manager.list_models()[0]["file"] == FILE
    assert old.stat() == before, "looking changes nothing"
    assert manager.download_model("test-model", "gguf", "q4_k_m") == old
    assert server.content_bytes() == 0, "no byte is fetched again"
    assert old.read_bytes() == CONTENT
    assert junk.exists()


def test_an_old_file_that_is_damaged_is_reported(manager: ModelManager, caplog: pytest.LogCaptureFixture) -> None:
    manager.registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] = sha256(CONTENT)
    old = put(manager, f"test-model/gguf/q4_k_m/{FILE}", b"damaged" + CONTENT[7:])
    assert manager.download_model("test-model", "gguf", "q4_k_m") is None
    assert FILE in caplog.text
    assert old.exists()


def test_an_old_file_that_is_damaged_is_replaced_as_the_guide_says(manager: ModelManager, hub: MakeHub) -> None:
    hub({"test/test-model-gguf": {FILE: CONTENT}})
    manager = ModelManager(manager.models_dir, manager.config_path)
    manager.registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] = sha256(CONTENT)
    old = put(manager, f"test-model/gguf/q4_k_m/{FILE}", b"damaged" + CONTENT[7:])
    assert manager.download_model("test-model") is None
    assert old.read_bytes() != CONTENT, "nothing is overwritten that we did not make"
    assert manager.download_model("test-model", force=True) == old
    assert old.read_bytes() == CONTENT
    kept = sha256(b"damaged" + CONTENT[7:])
    assert (manager.store_dir / "sha256" / kept[:2] / kept).read_bytes() == b"damaged" + CONTENT[7:]


def test_a_format_without_quantizations(manager: ModelManager, hub: MakeHub) -> None:
    hub({"test/test-model-gguf": {"model.pt": CONTENT}})
    manager = ModelManager(manager.models_dir, manager.config_path)
    manager.registry["models"]["test-model"]["formats"]["pytorch"] = {"file": "model.pt", "sha256": None}
    folder = manager.models_dir / "test-model/pytorch"
    assert manager.download_model("test-model", "pytorch") == folder == manager.get_model_path("test-model", "pytorch")
    (listed,) = manager.list_models("pytorch")
    assert (listed["quantization"], listed["file"], listed["path"]) == (None, "model.pt", str(folder / "model.pt"))
    assert manager.remove_model("test-model", "pytorch") and not folder.exists()
