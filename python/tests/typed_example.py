"""Checked by mypy --strict, never run: what a user with types may write."""

from pathlib import Path
from typing import Optional

from model_manager import CancelToken, Manager, ModelManagerError, events, tqdm_progress
from model_manager.results import Download
from tools.model_manager import ModelManager


def legacy() -> Optional[Path]:
    manager = ModelManager(models_dir=Path("models"), config_path=Path("configs/models.yaml"))
    ModelManager(store="store", endpoint=["https://mirror.example", "https://huggingface.co"], offline=True)
    ModelManager(offline="yes")  # type: ignore[arg-type]
    ModelManager(nonsense=True)  # type: ignore[call-arg]
    path: Optional[Path] = manager.download_model("a", format="gguf", quantization="q4_k_m", force=False)
    total: int = sum(model["size_bytes"] for model in manager.list_models())
    good: bool = manager.verify_model(path) and manager.remove_model("a")
    return manager.get_model_path("a") if good and total else None


def told(event: events.Event) -> None:
    if isinstance(event, events.Progress) and event.eta is not None:
        print(f"{event.file}: {event.done / event.size:.0%}, {event.eta:.0f} s")


async def rich(cancel: CancelToken) -> Download:
    manager = Manager(link="symlink", connections=4)
    try:
        manager.download("a", progress=told, cancel=cancel)
        manager.download("a", progress=tqdm_progress(leave=False))
    except ModelManagerError as error:
        print(error.kind, error.exit_code, error.hint)
    if all(one.state == "ok" for one in manager.verify(mode="quick")):
        return await manager.download_async("a", progress=told)
    if not manager.repair().is_complete or not manager.doctor(full=True).is_healthy:
        print([finding.repair for finding in manager.doctor().findings])
    lock_file: Path = manager.lock(["a", "b:q4_k_m"], update=True).lock_file
    problems = [problem.message for problem in manager.lock(check=True).problems]
    synced = await manager.sync_async(progress=told)
    repaired: int = sum(file.download_bytes for file in manager.sync(locked=True, prune=True).repairs)
    repaired += synced.totals.download_bytes
    wrong = [finding.line for finding in manager.lint(online=True).findings if finding.level == "error"]
    line: str = manager.use(manager.add("o/r:Q4_K_M").model, backend="llama_cpp", dry_run=True).line_text
    print(lock_file, problems, repaired, wrong, line, manager.init(shared=True))
    freed: int = manager.gc(grace=0, dry_run=True).totals.freed_bytes + manager.df().totals.reclaimable_bytes
    users = [user for blob in manager.why(Path("models/a")) for user in blob.users]
    gone = [project.path for project in manager.projects() if project.state == "missing"]
    print(freed, users, [manager.forget_project(path).total_bytes for path in gone])
    raise SystemExit(1)
