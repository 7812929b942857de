"""What can be done with a project: locking, syncing, its registry, the settings of its backends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from conftest import MakeHub, model, python, write_registry
from hub import MIB, Hub, gguf, sha256
from model_manager import CancelToken, Manager, ModelManager, errors, events, results

FILE = "big.Q4_K_M.gguf"
REPO = "test/test-model-gguf"
OTHER = "me/New-7B-GGUF"
BIG = gguf(2 * MIB)
NEW = gguf(seed=7)
LOCK = Path("configs/models.lock")
REGISTRY = f"""# mine
models:
  test-model:
    huggingface_id: "{REPO}"
    formats:
      gguf:
        q4_k_m:
          file: "{FILE}"
          size: {len(BIG)}
          sha256: "{sha256(BIG)}"
"""
SETTINGS = "# mine\nbackend:\n  n_ctx: 8192  # long\n  model_path: 'models/old.gguf'\n"


@pytest.fixture
def server(hub: MakeHub) -> Hub:
    Path("configs").mkdir()
    Path("configs/models.yaml").write_text(REGISTRY)
    return hub({REPO: {FILE: BIG}, OTHER: {"new-7b.Q4_K_M.gguf": NEW}})


def clone_to(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project as somebody else clones it."""
    shutil.copytree("configs", f"../{folder}/configs")
    monkeypatch.chdir(f"../{folder}")


def test_what_is_locked_is_made_elsewhere(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager()
    assert manager.lock_file == Path.cwd() / LOCK
    manager.download("test-model")
    plan = manager.lock(dry_run=True)
    assert plan.dry_run and not plan.written and not LOCK.exists()
    lock = manager.lock()
    assert (lock.lock_file, lock.written, lock.dry_run, lock.is_complete) == (manager.lock_file, True, False, True)
    (locked,) = lock.models
    assert (locked.model, locked.format, locked.quant, locked.state) == ("test-model", "gguf", "q4_k_m", "added")
    assert locked.origin is not None and (locked.origin.repo, locked.origin.revision) == (REPO, "main")
    assert locked.origin.commit is not None and len(locked.origin.commit) == 40
    assert (locked.total_bytes, locked.old_origin) == (len(BIG), None)
    assert [(file.file, file.change, file.size, file.old_size) for file in locked.files] == [(FILE, "added", len(BIG), None)]
    assert [model.state for model in manager.lock().models] == ["kept"] and not manager.lock().written

    clone_to("clone", monkeypatch)
    (file,) = Manager().sync(locked=True, dry_run=True).plans[0].files
    assert (file.state, file.download_bytes) == ("local", 0)
    assert [store.state for store in Manager().stores()] == ["usable"]
    clone = Manager(no_local=True)
    todo = clone.sync(locked=True, dry_run=True)
    assert todo.dry_run and todo.totals.download_bytes == todo.plans[0].download_bytes == len(BIG)
    assert (todo.models, clone.list()) == ((), [])
    seen: list[events.Event] = []
    done = clone.sync(locked=True, progress=seen.append)
    (made,) = done.models
    assert made.path == clone.path("test-model") and made.path.read_bytes() == BIG
    assert (done.totals.download_bytes, done.plans, done.repairs, done.removed, done.kept, done.pruned) == (len(BIG), (), (), (), (), None)
    assert any(isinstance(event, events.FileFinished) for event in seen)
    assert clone.sync(quick=True).totals.download_bytes == 0


def test_sync_mends_trims_prunes_and_keeps_what_is_not_ours(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    manager.lock()
    other = manager.download(f"{OTHER}:q4_k_m").path
    (path.parent / "notes.txt").write_text("mine")
    blob = path.resolve()
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.seek(MIB)
        file.write(b"damage")
    done = manager.sync(prune=True)
    (repaired,) = done.repairs
    assert (repaired.path, repaired.sha256, repaired.download_bytes) == (path, sha256(BIG), MIB)
    assert repaired.repaired and done.totals.download_bytes == MIB
    assert path.read_bytes() == BIG
    (kept,) = done.kept
    assert kept.path == path.parent / "notes.txt" and kept.reason and kept.path.exists()
    assert done.pruned is not None and done.pruned.removed[0].path == other and not other.exists()


def test_a_sync_that_cannot_be_is_an_exception(server: Hub) -> None:
    manager = Manager()
    with pytest.raises(errors.NotFoundError, match="no lock file"):
        manager.sync()
    with pytest.raises(errors.NotFoundError, match="no lock file"):
        manager.lock(check=True)
    manager.lock("test-model")
    with pytest.raises(errors.NetworkError):
        Manager(offline=True).sync()
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(errors.CancelledError):
        manager.sync(cancel=cancel)
    assert manager.list() == []

    def progress(event: events.Event) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        manager.sync(progress=progress)
    with pytest.raises(ZeroDivisionError, match="mine"):
        asyncio.run(manager.sync_async(progress=progress))
    # The file's word is the last one where the lock must not change.
    manager.registry["models"]["test-model"]["formats"]["gguf"]["q4_k_m"]["sha256"] = "0" * 64
    with pytest.raises(errors.ModelManagerError, match="does not agree with the registry"):
        manager.sync(locked=True)
    (problem,) = manager.lock(check=True).problems
    assert problem.model == "test-model" and problem.message
    assert asyncio.run(Manager().sync_async()).models[0].path.read_bytes() == BIG


def test_all_errors_of_a_lock_are_reported_with_their_lines(server: Hub) -> None:
    manager = Manager()
    manager.lock("test-model")
    LOCK.write_text(LOCK.read_text().replace("size: ", "size: -").replace("source:", "sauce:"))
    lines = LOCK.read_text().splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if "size: -" in line or "sauce:" in line]
    with pytest.raises(errors.UsageError) as caught:
        manager.lock(check=True)
    assert len(wrong) == 2
    for line in wrong:
        assert f"models.lock:{line}:" in str(caught.value)
    LOCK.write_text("<<<<<<< ours\n" + LOCK.read_text())
    with pytest.raises(errors.UsageError, match=r"models.lock:1:1: a merge left a conflict"):
        manager.sync()


def test_locks_are_checked_and_updated(server: Hub) -> None:
    manager = Manager()
    manager.download("test-model")
    lock = manager.lock([f"{OTHER}:q4_k_m"])
    assert [(model.origin and model.origin.repo, model.state) for model in lock.models] == [(OTHER, "added")]
    check = manager.lock(check=True)
    assert (check.lock_file, check.totals.models, check.is_good) == (manager.lock_file, 1, False)
    assert [(problem.model, problem.quant) for problem in check.problems] == [("test-model", "q4_k_m")]
    manager.lock()
    requests = server.requests()
    assert manager.lock(check=True).is_good and manager.lock("test-model", check=True).is_good
    assert server.requests() == requests, "a check asks nobody"
    assert {model.state for model in manager.lock(update=True).models} == {"kept"}
    text = LOCK.read_text()
    with pytest.raises(errors.NotFoundError):
        manager.lock(["test-model", "nope"])
    for wrong in ({"update": True}, {"dry_run": True}):
        with pytest.raises(errors.UsageError):
            manager.lock(check=True, **wrong)  # type: ignore[call-overload]
    with pytest.raises(errors.UsageError):
        manager.lock(quant="q4_k_m")
    assert LOCK.read_text() == text


def test_an_added_model_is_known_at_once(server: Hub) -> None:
    manager = Manager()
    text = manager.config_path.read_text()
    plan = manager.add(f"{OTHER}:Q4_K_M", dry_run=True)
    assert plan.dry_run and plan.changed and plan.diff.startswith("--- ")
    assert manager.config_path.read_text() == text and "new-7b" not in manager.registry["models"]
    added = manager.add(f"{OTHER}:Q4_K_M", id="mine", description="Mine")
    assert (added.model, added.format, added.quant, added.origin.repo) == ("mine", "gguf", "q4_k_m", OTHER)
    assert (added.total_bytes, added.registry, added.created, added.changed) == (len(NEW), manager.config_path, False, True)
    assert added.entry.strip() in manager.config_path.read_text()
    assert "mine" in manager.config_path.read_text().splitlines()[added.line - 1]
    assert manager.registry["models"]["mine"]["description"] == "Mine"
    assert manager.registry == Manager().registry
    assert manager.download("mine").path.read_bytes() == NEW
    again = manager.add("mine", update=True)
    assert (again.changed, again.origin) == (False, added.origin)
    with pytest.raises(errors.UsageError):
        manager.add("mine", update=True, description="other")
    with pytest.raises(errors.UsageError):
        manager.add("nowhere-else")


def test_an_added_model_has_its_projector(hub: MakeHub) -> None:
    names = ("Seer.Q4_K_M.gguf", "mmproj-Seer-F16.gguf", "mmproj-Seer-F32.gguf")
    hub({"a/Seer-GGUF": {name: gguf(seed=seed) for seed, name in enumerate(names)}})
    manager = Manager()
    assert manager.add("a/Seer-GGUF", mmproj=False, dry_run=True).projectors == ()
    choices: dict[str | bool, str] = {"f32": names[2], True: names[1]}
    for mmproj, name in choices.items():
        (projector,) = manager.add("a/Seer-GGUF", mmproj=mmproj, dry_run=True).projectors
        assert projector.repo_path == name and projector.size and projector.sha256
    added = manager.add("a/Seer-GGUF")
    assert [file.repo_path for file in added.projectors] == [names[1]]
    assert any(names[1] in notice.message for notice in added.notices)
    assert sorted(path.name for path in manager.download("seer").path.parent.glob("*.gguf")) == list(names[:2])
    with pytest.raises(errors.UsageError):
        manager.add("seer", update=True, mmproj=True)
    with pytest.raises(errors.ModelManagerError, match="no projector"):
        manager.add("a/Seer-GGUF", id="other", mmproj="q4_0")


def test_an_added_model_leaves_changes_in_memory_alone(server: Hub) -> None:
    manager = Manager()
    manager.registry["models"]["test-model"]["description"] = "changed here"
    manager.add(f"{OTHER}:Q4_K_M")
    assert manager.registry["models"]["test-model"]["description"] == "changed here"
    text = manager.config_path.read_text()
    assert text.startswith(REGISTRY) and "changed here" not in text
    assert manager.download("new-7b").path.read_bytes() == NEW


def test_a_registry_that_cannot_be_edited_stays_as_it_is(server: Hub) -> None:
    text = write_registry({"test-model": model(FILE, REPO)}).read_text()
    manager = Manager()
    with pytest.raises(errors.ModelManagerError, match="was not changed"):
        manager.add(f"{OTHER}:Q4_K_M")
    assert manager.config_path.read_text() == text and list(manager.registry["models"]) == ["test-model"]


def test_without_a_registry_file_one_is_made_from_the_built_in_one(hub: MakeHub) -> None:
    hub({OTHER: {"new-7b.Q4_K_M.gguf": NEW}})
    manager = Manager()
    assert not manager.config_path.exists()
    added = manager.add(f"{OTHER}:Q4_K_M")
    assert added.created and added.registry == manager.config_path == Path.cwd() / "configs/models.yaml"
    assert {"new-7b", "tinyllama-1.1b-chat"} <= set(manager.registry["models"])
    # The object keeps that file, wherever the process is by then.
    os.chdir("..")
    assert manager.download("new-7b").path.read_bytes() == NEW
    assert manager.add("new-7b:q4_k_m", update=True).registry == added.registry


def test_lint(server: Hub) -> None:
    manager = Manager()
    lint = manager.lint()
    assert (lint.registry, lint.online, lint.totals.entries, lint.is_good, lint.differs) == (str(manager.config_path), False, 1, True, False)
    finding = next(finding for finding in lint.findings if finding.rule == "revision")
    assert (finding.level, finding.model, finding.format, finding.quant) == ("warning", "test-model", "gguf", "q4_k_m")
    assert finding.line > 1 and finding.column >= 1 and finding.message and finding.hint
    assert manager.lint(online=True).online
    write_registry({"test-model": model(FILE, REPO, size=1, sha256="0" * 64)})
    wrong = manager.lint(online=True)
    assert wrong.differs and not wrong.is_good
    with pytest.raises(errors.UsageError):
        Manager(offline=True).lint(online=True)
    Path("bad.yaml").write_text("models:\n  a: [\n")
    bad = ModelManager(config_path="bad.yaml").lint()
    assert (bad.totals.entries, bad.is_good) == (0, False) and bad.findings[0].line >= 2
    assert Manager.lint(ModelManager(models_dir="elsewhere")).registry == str(manager.config_path)


def test_use(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager()
    with pytest.raises(errors.NotFoundError):
        manager.use("test-model", backend="llama_cpp")
    path = manager.download("test-model").path
    file = Path("configs/backend/llama_cpp.yaml")
    plan = manager.use("test-model", "llama_cpp", dry_run=True)
    assert plan.dry_run and plan.created and not file.exists()
    file.parent.mkdir()
    file.write_text(SETTINGS)
    used = manager.use("test-model", backend="llama_cpp")
    value = f"models/test-model/gguf/q4_k_m/{FILE}"
    assert (used.path, used.backend, used.settings_file, used.key) == (path, "llama_cpp", Path.cwd() / file, "backend.model_path")
    assert (used.value, used.before, used.line, used.created, used.changed) == (value, "models/old.gguf", 4, False, True)
    assert file.read_text() == used.text == SETTINGS.replace("models/old.gguf", value)
    assert not manager.use("test-model", backend="llama_cpp").changed
    with pytest.raises(errors.UsageError):
        manager.use("test-model", backend="vllm", format="gguf")
    with pytest.raises(errors.UsageError):
        manager.use("test-model", backend="ollama")  # type: ignore[arg-type]
    # Settings name models from the project's folder, however the models directory is named and wherever the caller is.
    assert Manager("models").use("test-model", "llama_cpp").value == value
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    inside = Manager().use("test-model", "llama_cpp", file="mine.yaml")
    assert (inside.value, inside.settings_file, inside.before) == (value, Path.cwd() / "mine.yaml", None)


def test_info_says_what_files_say(server: Hub) -> None:
    manager = Manager()
    (form,) = manager.info("test-model")[0].forms
    assert form.weights is None and not form.present
    (asked,) = manager.info("test-model", quant="q4_k_m", remote=True)[0].forms
    assert asked.weights is not None and asked.weights.architecture == "llama"
    assert server.content_bytes() < len(BIG)
    manager.download("test-model")
    (here,) = manager.info("test-model")[0].forms
    assert here.present and here.weights == asked.weights
    (found,) = manager.info(f"{OTHER}:q4_k_m")
    assert found.forms[0].origin.repo == OTHER
    with pytest.raises(errors.UsageError):
        manager.info(remote=True)


def test_a_store_can_be_made_before_it_is_needed(server: Hub) -> None:
    manager = Manager(store="store")
    assert manager.init(shared=True) == manager.store_dir and manager.df().totals.blobs == 0
    assert os.stat("store").st_mode & 0o2070 == 0o2070, "the group may write, and what is made belongs to it"
    with pytest.raises(errors.UsageError):
        manager.init(group="staff")


def test_nothing_but_add_touches_the_registry_file(server: Hub) -> None:
    file = Path("configs/models.yaml")
    text = f"""size_classes: {{tiny: 1}}  # theirs
models:
  test-model:
    huggingface_id: {REPO}
    quantization_info: {{bits: 4}}
    formats: {{gguf: {{q4_k_m: {{file: {FILE}, sha256: null, extra: x}}}}}}
"""
    file.write_text(text)
    before = file.stat()
    manager = ModelManager()
    path = manager.download_model("test-model")
    assert path is not None and manager.verify_model(path) and manager.list_models()
    manager.lock()
    manager.sync(prune=True)
    manager.use("test-model", "llama_cpp")
    manager.lint(online=True)
    manager.repair()
    assert manager.remove_model("test-model")
    manager.gc(grace=0)
    after = file.stat()
    assert file.read_text() == text
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_results_have_every_field_that_the_command_prints(server: Hub) -> None:
    Manager().download("test-model")
    Manager().lock()

    def printed(line: str, *keys: str) -> set[str]:
        found = json.loads(python("-m", "model_manager", *line.split(), "--json").stdout)
        for key in keys:
            found = found[0] if isinstance(found, list) else found
            found = found[key]
        return set(found[0] if isinstance(found, list) else found)

    def known(cls: Any) -> set[str]:
        return {field.name for field in fields(cls)}

    for cls, line, *keys in (
        (results.ModelInfo, "info test-model", "models"),
        (results.Form, "info test-model", "models", "forms"),
        (results.Weights, "info test-model", "models", "forms", "weights"),
        (results.Listed, "list", "models"),
        (results.ListedFile, "list", "models", "files"),
        (results.Plan, "download test-model --dry-run", "plans"),
        (results.Memory, "download test-model --dry-run", "plans", "memory"),
        (results.Download, "download test-model", "models"),
        (results.File, "download test-model", "models", "files"),
        (results.Verified, "verify test-model", "files"),
        (results.Origin, "lock", "models", "origin"),
        (results.Locked, "lock", "models"),
        (results.Download, "sync", "models"),
        (results.LintFinding, "lint", "findings"),
        (results.Project, "projects", "projects"),
        (results.Why, "why test-model", "blobs"),
        (results.BlobUser, "why test-model", "blobs", "users"),
        (results.Source, "why test-model", "blobs", "sources"),
    ):
        # The time that it took is the command's own.
        assert printed(line, *keys) - {"took_seconds"} <= known(cls), line
    for whole, line in ((results.Sync, "sync"), (results.Lint, "lint"), (results.Lock, "lock"), (results.Space, "df")):
        assert known(whole) <= printed(line), line
