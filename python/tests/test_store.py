"""What can be done with the store: collecting, accounting, checking, mending."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import MakeHub, model, write_registry
from hub import MIB, Hub, gguf, sha256
from model_manager import DamagedError, Manager, NotFoundError, UsageError

FILE = "big.Q4_K_M.gguf"
REPO = "test/test-model-gguf"
BIG = gguf(8 * MIB)


@pytest.fixture
def server(hub: MakeHub) -> Hub:
    write_registry({"test-model": model(FILE, REPO)})
    return hub({REPO: {FILE: BIG}})


def damage(path: Path) -> None:
    blob = path.resolve()
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.seek(5 * MIB)
        file.write(b"damage")


def test_without_a_store_there_is_nothing_to_ask() -> None:
    manager = Manager()
    for ask in (manager.gc, manager.df, manager.projects, lambda: manager.why("test-model")):
        with pytest.raises(NotFoundError) as nothing:
            ask()
        assert nothing.value.hint
    assert manager.doctor().is_healthy
    assert manager.repair().repairs == () and manager.repair().is_complete
    assert not manager.models_dir.exists(), "asking makes nothing"


def test_gc_takes_what_nothing_needs_after_its_grace(server: Hub) -> None:
    manager = Manager()
    done = manager.download("test-model")
    assert manager.gc(grace=0).blobs == ()
    manager.remove("test-model", keep_blobs=True)
    young = manager.gc()
    assert (young.totals.young_blobs, young.totals.young_bytes, young.totals.freed_bytes, young.blobs) == (1, len(BIG), 0, ())
    plan = manager.gc(grace=0, dry_run=True)
    assert plan.dry_run and plan.blobs[0].sha256 == done.files[0].sha256 and plan.totals.freed_bytes >= len(BIG)
    assert manager.df().totals.reclaimable_bytes >= len(BIG)
    collected = manager.gc(grace=0)
    assert (collected.blobs, collected.dry_run) == (plan.blobs, False)
    assert collected.longest_section_ms is not None
    assert manager.df().totals.blobs == 0


def test_damage_that_was_found_is_said_by_all_until_it_is_repaired(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    damage(path)
    assert [file.state for file in manager.verify("test-model")] == ["modified"]
    other = Manager()
    (listed,) = other.list()
    assert (listed.state, [(file.file, file.state) for file in listed.files]) == ("damaged", [(FILE, "damaged")])
    with pytest.raises(DamagedError) as told:
        other.path("test-model")
    assert "damaged" in str(told.value) and "m.repair(" in (told.value.hint or "")
    assert other.plan("test-model").files[0].state == "damaged"
    assert other.df().totals.damaged_blobs == 1 and other.why("test-model")[0].damaged
    assert not other.doctor().is_healthy
    assert other.download("test-model").download_bytes == MIB, "only the damaged segment travels"
    assert manager.list()[0].state == "stored" and manager.path("test-model") == path
    assert manager.df().totals.damaged_blobs == 0 and manager.doctor(full=True).findings == ()


def test_what_a_model_has_is_what_its_record_says(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    (path.parent / "AAA.gguf").write_bytes(b"of another program")
    assert manager.path("test-model") == path and [file.file for file in manager.list()[0].files] == [FILE]
    path.unlink()
    (listed,) = manager.list()
    assert (listed.state, [(file.file, file.state) for file in listed.files]) == ("broken", [(FILE, "missing")])
    assert [file.state for file in manager.verify("test-model")] == ["foreign", "missing"]
    with pytest.raises(NotFoundError):
        manager.path("test-model")
    assert manager.repair().is_complete and manager.path("test-model") == path
    removal = manager.remove("test-model")
    assert removal.removed[0].path == path and (path.parent / "AAA.gguf").exists()


def test_why(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    (by_model,) = manager.why("test-model")
    assert by_model.sha256 == sha256(BIG) and by_model.size == len(BIG) and by_model.present and not by_model.leased
    (user,) = by_model.users
    assert (user.model, user.format, user.quant) == ("test-model", "gguf", "q4_k_m")
    (source,) = by_model.sources
    assert (source.endpoint, source.repo, source.repo_path) == (server.url, REPO, FILE)
    assert manager.why(path) == manager.why(str(path)) == manager.why(sha256(BIG)[:8]) == [by_model]
    with pytest.raises(NotFoundError):
        manager.why("0" * 64)


def test_df_counts_shared_bytes_once(server: Hub) -> None:
    for name in ("a", "b"):
        Manager(name, store="store").download("test-model")
    space = Manager("a", store="store").df()
    assert (space.store, space.totals.blobs, space.totals.projects) == (Path("store"), 1, 2)
    assert (space.totals.shown_bytes, space.totals.shared_bytes) == (2 * len(BIG), len(BIG))
    assert space.totals.stored_bytes >= len(BIG) and 0 < space.totals.free_bytes <= space.totals.volume_bytes


def test_projects_are_known_and_can_be_forgotten(server: Hub) -> None:
    one, two = Manager("a", store="store"), Manager("b", store="store")
    one.download("test-model")
    two.download("test-model")
    assert sorted((project.path, project.state, project.total_bytes) for project in one.projects()) == [
        (Path.cwd() / "a", "live", len(BIG)),
        (Path.cwd() / "b", "live", len(BIG)),
    ]
    with pytest.raises(UsageError):
        one.forget_project("b")
    os.rename("b", "c")
    (gone,) = [project for project in one.projects() if project.state == "missing"]
    assert gone.path == Path.cwd() / "b"
    assert one.forget_project(gone.uuid[:8]).uuid == gone.uuid
    assert len(one.projects()) == 1
    with pytest.raises(NotFoundError):
        one.forget_project(Path("b"), force=True)
    assert one.verify()[0].is_good


def test_the_doctor_finds_what_is_lost(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    healthy = manager.doctor(full=True)
    assert (healthy.is_healthy, healthy.findings, healthy.totals.blobs, healthy.full) == (True, (), 1, True)
    path.resolve().unlink()
    ill = manager.doctor()
    assert not ill.is_healthy and not ill.full
    assert ill.findings[0].severity == "loss" and ill.findings[0].repair
    assert path in [finding.path for finding in ill.findings]


def test_repair_fetches_damaged_ranges_only(server: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    assert manager.repair().repairs == ()
    damage(path)
    before = server.content_bytes()
    repair = manager.repair("test-model")
    assert repair.is_complete and repair.download_bytes == MIB == server.content_bytes() - before
    (file,) = repair.repairs
    assert (file.path, file.repaired, file.download_bytes, file.note) == (path, True, MIB, None)
    assert path.read_bytes() == BIG
    path.resolve().unlink()
    assert manager.repair().download_bytes == len(BIG)
    assert manager.repair().is_complete and path.read_bytes() == BIG


def test_what_cannot_be_repaired_is_told(server: Hub, tmp_path: Path) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    damage(path)
    (tmp_path / "hub0" / REPO / FILE).unlink()
    server.close()
    with pytest.raises(Exception) as failed:
        Manager(offline=True).repair()
    assert "offline" in str(failed.value)
    assert manager.verify()[0].state == "modified"
