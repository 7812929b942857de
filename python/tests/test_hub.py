"""`hf_hub_download` and `snapshot_download` mean what the Hub's own library means by them."""

from __future__ import annotations

import inspect
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import huggingface_hub
import pytest
from huggingface_hub import errors as theirs

from conftest import MakeHub
from hub import Hub, gguf
from model_manager import AuthError, Manager, ModelManagerError, NotFoundError, UsageError
from model_manager import hub as ours
from model_manager.hub import hf_hub_download, snapshot_download

REPO = "test/tiny"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "README.md": b"# Tiny",
    "onnx/model.onnx": b"onnx" * 100,
    "onnx/config.json": b"[]",
    "tiny.Q4_K_M.gguf": gguf(),
}


@pytest.fixture
def server(hub: MakeHub) -> Hub:
    return hub({REPO: FILES})


@pytest.mark.parametrize("name", ["hf_hub_download", "snapshot_download"])
def test_the_signatures_are_those_of_the_hubs_own_library(name: str) -> None:
    def shape(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
        parameters = inspect.signature(function).parameters
        return {one.name: (one.kind, one.default) for one in parameters.values()}

    assert shape(getattr(ours, name)) == shape(getattr(huggingface_hub, name))


def test_a_file_is_shown_as_it_stands_in_the_repository(server: Hub) -> None:
    path = hf_hub_download(REPO, "config.json")
    assert type(path) is str and Path(path) == Path.cwd() / "models/test--tiny/files/main/config.json"
    assert Path(path).read_bytes() == FILES["config.json"]
    nested = hf_hub_download(repo_id=REPO, filename="model.onnx", subfolder="onnx")
    assert Path(nested) == Path(path).parent / "onnx/model.onnx"
    assert hf_hub_download(REPO, "onnx/model.onnx") == nested
    assert Path(path).read_bytes() == FILES["config.json"], "what was there stays"


def test_what_is_here_is_not_fetched_again(server: Hub) -> None:
    Manager().download(f"{REPO}:q4_k_m")
    before = server.content_bytes()
    path = hf_hub_download(REPO, "tiny.Q4_K_M.gguf")
    assert Path(path).read_bytes() == FILES["tiny.Q4_K_M.gguf"]
    assert server.content_bytes() == before
    # Also what git holds, for which the Hub publishes no SHA-256.
    hf_hub_download(REPO, "config.json")
    before = server.content_bytes()
    hf_hub_download(REPO, "config.json")
    snapshot_download(REPO, allow_patterns=["*.gguf", "config.json"])
    assert server.content_bytes() == before
    hf_hub_download(REPO, "tiny.Q4_K_M.gguf", force_download=True)
    assert server.content_bytes() == before + len(FILES["tiny.Q4_K_M.gguf"])


def test_a_snapshot_has_all_files_or_those_that_patterns_select(server: Hub) -> None:
    def names(folder: str) -> set[str]:
        files = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}
        return files - {".view.json"}

    some = snapshot_download(REPO, allow_patterns="*.json", ignore_patterns=["onnx/*"])
    assert Path(some) == Path.cwd() / "models/test--tiny/files/main"
    assert names(some) == {"config.json", "tokenizer.json"}
    assert snapshot_download(REPO, allow_patterns=["onnx/"]) == some
    assert names(some) == {"config.json", "tokenizer.json", "onnx/model.onnx", "onnx/config.json"}, "they are added"
    assert snapshot_download(repo_id=REPO, max_workers=2) == some
    assert names(some) == set(FILES)
    with pytest.raises(theirs.EntryNotFoundError):
        snapshot_download(REPO, allow_patterns="*.nothing")


def test_a_revision_has_a_folder_of_its_own(server: Hub) -> None:
    commit = Manager().plan(f"{REPO}:q4_k_m").origin.commit
    assert commit is not None
    pinned = hf_hub_download(REPO, "config.json", revision=commit)
    assert Path(pinned).parent.name == commit
    before = server.requests()
    assert hf_hub_download(REPO, "config.json", revision=commit) == pinned
    assert server.requests() == before, "a commit does not change"


def test_many_threads_may_ask_for_files_of_one_repository(server: Hub) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda name: hf_hub_download(REPO, name), FILES))
    assert {name: Path(path).read_bytes() for name, path in zip(FILES, paths)} == FILES


def test_without_the_hub_what_is_here_is_used(
    server: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = hf_hub_download(REPO, "config.json")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    before = server.requests()
    assert hf_hub_download(REPO, "config.json", local_files_only=True) == path
    assert snapshot_download(REPO, local_files_only=True) == str(Path(path).parent)
    assert not caplog.records
    with pytest.raises(theirs.LocalEntryNotFoundError) as missing:
        hf_hub_download(REPO, "tokenizer.json", local_files_only=True)
    assert isinstance(missing.value, (NotFoundError, FileNotFoundError)) and missing.value.hint  # type: ignore[attr-defined]
    with pytest.raises(ours.LocalEntryNotFoundError):
        snapshot_download("test/other", local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hf_hub_download(REPO, "config.json") == path
    assert server.requests() == before


def test_a_hub_that_cannot_be_reached_is_no_reason_to_fail(
    server: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = hf_hub_download(REPO, "config.json")
    Path("configs").mkdir()
    Path("configs/manager.yaml").write_text("tries: 1\n")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hf_hub_download(REPO, "config.json") == path
    assert [record.levelno for record in caplog.records if "what is here is used" in record.message] == [logging.WARNING]
    with pytest.raises(ours.LocalEntryNotFoundError):
        hf_hub_download(REPO, "tokenizer.json")


def test_errors_are_those_that_code_for_the_hub_expects(hub: MakeHub) -> None:
    gated = "test/gated"
    hub({REPO: FILES, gated: FILES}, "--token", f"hf_secret={gated}", "--gated", gated)
    cases: list[tuple[Callable[[], object], type[Exception], type[ModelManagerError]]] = [
        (lambda: hf_hub_download(REPO, "nothing.json"), theirs.EntryNotFoundError, NotFoundError),
        (lambda: hf_hub_download(REPO, "nothing.json"), theirs.RemoteEntryNotFoundError, ours.EntryNotFoundError),
        (lambda: hf_hub_download("test/nothing", "a.json"), theirs.RepositoryNotFoundError, ModelManagerError),
        (lambda: hf_hub_download(REPO, "config.json", revision="nothing"), theirs.RevisionNotFoundError, NotFoundError),
        (lambda: hf_hub_download(gated, "config.json"), theirs.GatedRepoError, AuthError),
        (lambda: hf_hub_download(gated, "config.json", token=True), theirs.LocalTokenNotFoundError, AuthError),
        (lambda: hf_hub_download("tiny", "config.json"), theirs.HFValidationError, UsageError),
        (lambda: hf_hub_download(REPO, "../x"), ValueError, UsageError),
    ]
    for call, of_theirs, of_ours in cases:
        with pytest.raises(of_theirs) as raised:
            call()
        error = raised.value
        assert isinstance(error, of_ours), error
        assert str(error) and error.hint
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
    assert hf_hub_download(gated, "config.json", token="hf_secret")


@pytest.mark.parametrize(
    "argument", [{"local_dir": "here"}, {"cache_dir": Path("cache")}, {"headers": {"a": "b"}}, {"repo_type": "dataset"}]
)
def test_what_cannot_be_honoured_is_refused_by_name(server: Hub, argument: dict[str, Any]) -> None:
    (name,) = argument
    with pytest.raises(UsageError, match=name):
        hf_hub_download(REPO, "config.json", **argument)
    with pytest.raises(UsageError, match=name):
        snapshot_download(REPO, **argument)
    assert not Path("here").exists() and server.requests() == 0


def test_a_dry_run_tells_and_changes_nothing(server: Hub) -> None:
    told = hf_hub_download(REPO, "tiny.Q4_K_M.gguf", dry_run=True)
    assert (told.filename, told.file_size, told.will_download, told.is_cached) == ("tiny.Q4_K_M.gguf", 4096, True, False)
    assert {one.filename for one in snapshot_download(REPO, dry_run=True)} == set(FILES)
    assert server.content_bytes() == 0 and not Path("models").exists()
    path = hf_hub_download(REPO, "tiny.Q4_K_M.gguf")
    told = hf_hub_download(REPO, "tiny.Q4_K_M.gguf", dry_run=True)
    assert (told.local_path, told.will_download, told.is_cached) == (path, False, True)


def test_what_it_shows_is_listed_locked_and_removed_as_all_else(server: Hub) -> None:
    hf_hub_download(REPO, "config.json")
    manager = Manager()
    (listed,) = manager.list()
    assert (listed.model, listed.format, listed.quant) == ("test--tiny", "files", "main")
    assert manager.path(REPO, format="files") == Path.cwd() / "models/test--tiny/files/main"
    manager.lock()
    assert manager.lock(update=True).models[0].files == (), "no other file of the repository is added"
    manager.remove(REPO)
    assert manager.sync(locked=True).models[0].files[0].file == "config.json"
