"""The richer API: results, exceptions, progress, stopping, threads, processes."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import model_manager
from conftest import MakeHub, model, python, write_registry
from hub import MIB, Hub, gguf, sha256
from model_manager import Manager, ModelManager, errors, events
from model_manager.results import ByteRange

FILE = "big.Q4_K_M.gguf"
REPO = "test/test-model-gguf"
BIG = gguf(16 * MIB)
SLOW = ("--total-rate", str(8 * MIB))
CHILD = """
import sys
from model_manager import Manager
from model_manager.events import Progress
def progress(event):
    if isinstance(event, Progress):
        print("progress", event.done, flush=True)
done = Manager().download("test-model", progress=progress)
print("fetched", done.download_bytes, flush=True)
"""


@pytest.fixture
def slow(hub: MakeHub) -> Hub:
    write_registry({"test-model": model(FILE, REPO)})
    return hub({REPO: {FILE: BIG}}, *SLOW)


@pytest.fixture
def fast(hub: MakeHub) -> Hub:
    write_registry({"test-model": model(FILE, REPO)})
    return hub({REPO: {FILE: BIG}})


def child(code: str = CHILD) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def settled(hub: Hub) -> int:
    """The bytes that the Hub has sent, which are no more after a moment: nobody is fetching."""
    time.sleep(0.3)
    sent = hub.content_bytes()
    time.sleep(0.3)
    assert hub.content_bytes() == sent
    return sent


def test_results(fast: Hub) -> None:
    manager = Manager()
    plan = manager.plan("test-model")
    assert (plan.model, plan.format, plan.quant, plan.origin.repo, plan.download_bytes) == ("test-model", "gguf", "q4_k_m", REPO, len(BIG))
    assert fast.content_bytes() == 0
    assert (plan.disk_bytes, plan.store, plan.requests) == (len(BIG), manager.store_dir, plan.api_requests + 1)
    assert plan.free_bytes is not None and plan.free_bytes_after == plan.free_bytes - plan.disk_bytes
    assert plan.memory.verdict == "fits" and plan.memory.weights_bytes == len(BIG)
    assert plan.memory.required_bytes == len(BIG) + len(BIG) // 10 + 500_000_000
    done = manager.download("test-model:Q4_K_M")
    assert done.path == Path.cwd() / "models/test-model/gguf/q4_k_m" / FILE
    assert (done.total_bytes, done.download_bytes, done.link) == (len(BIG), len(BIG), "symlink")
    assert done.files[0].sha256 == sha256(BIG)
    with open(done, "rb") as file:
        assert file.read(4) == b"GGUF"
    assert manager.path("test-model") == done.path
    (listed,) = manager.list()
    assert (listed.path, listed.state) == (done.path, "stored")
    assert [(file.file, file.path, file.size, file.state) for file in listed.files] == [(FILE, done.path, len(BIG), "stored")]
    (verified,) = manager.verify("test-model")
    assert verified.state == "ok" and verified.is_good
    info = manager.info("test-model")[0]
    assert info.forms[0].present and not info.forms[0].pinned
    assert manager.remove("test-model", dry_run=True).totals.freed_bytes >= len(BIG)
    removal = manager.remove("test-model")
    assert removal.models[0].model == "test-model" and not removal.dry_run
    assert manager.list() == []


def test_a_projector_beside_the_model(hub: MakeHub) -> None:
    hub({"a/seer": {"Seer.Q4_K_M.gguf": gguf(), "mmproj-Seer-F16.gguf": gguf(seed=2), "mmproj-Seer-F32.gguf": gguf(seed=3)}})
    manager = Manager()
    assert [file.file for file in manager.plan("a/seer", mmproj=True).files] == ["Seer.Q4_K_M.gguf", "mmproj-Seer-F16.gguf"]
    done = manager.download("a/seer", mmproj="f32")
    assert done.path.name == "Seer.Q4_K_M.gguf"
    assert (done.path.parent / "mmproj-Seer-F32.gguf").read_bytes() == gguf(seed=3)
    assert len(manager.plan("a/seer").files) == 2


def test_a_draft_beside_the_model(hub: MakeHub) -> None:
    files = ("owl-Q4_K_M.gguf", "owl-Q4_K_M-mtp.gguf", "vae-F16.gguf")
    hub({"a/owl": {name: gguf(seed=seed) for seed, name in enumerate(files)}})
    manager = Manager()
    done = manager.download("a/owl", companions=["draft"])
    assert done.path.name == files[0] and manager.path("a/owl").name == files[0]
    assert (done.path.parent / files[1]).read_bytes() == gguf(seed=1)
    assert {file.file for file in manager.plan("a/owl", companions=["draft", f"vae={files[2]}"]).files} == set(files)
    (info,) = manager.info("a/owl")
    assert [(label.label, label.role, label.present) for label in info.labels] == [
        ("q4_k_m", "model", True),
        ("mtp-q4_k_m", "draft", True),
        ("vae-f16", "vae", False),
    ]
    added = manager.add("a/owl", companions=["draft"], dry_run=True)
    assert [file.repo_path for file in added.companions] == [files[1]] and added.projectors == ()
    with pytest.raises(errors.UsageError, match="`wings` is no companion"):
        manager.plan("a/owl", companions=["wings"])


def test_references_to_the_hub(fast: Hub) -> None:
    done = Manager("elsewhere").download(f"{REPO}:q4_k_m")
    assert done.path == Path("elsewhere/test--test-model-gguf/gguf/q4_k_m") / FILE


def test_damage_is_found(fast: Hub) -> None:
    manager = Manager()
    path = manager.download("test-model").path
    blob = path.resolve()
    blob.chmod(0o644)
    with open(blob, "r+b") as file:
        file.seek(5 * MIB)
        file.write(b"damage")
    (verified,) = manager.verify("test-model")
    assert verified.state == "modified" and not verified.is_good
    assert verified.damaged_ranges == (ByteRange(5 * MIB, 6 * MIB),)


def test_remove_keeps_what_is_not_ours(fast: Hub) -> None:
    manager = Manager()
    folder = manager.download("test-model").path.parent
    (folder / "notes.txt").write_text("mine")
    removal = manager.remove("test-model")
    assert removal.kept[0].path == folder / "notes.txt"
    assert (folder / "notes.txt").exists()


def test_every_exit_code_has_one_exception() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    assert sorted(one.exit_code for one in classes) == [1, 2, 3, 4, 5, 6, 7, 8, 130]
    assert len({one.kind for one in classes}) == len(classes)
    error = pickle.loads(pickle.dumps(errors.NoSpaceError("full", "clean up")))
    assert (type(error), str(error), error.hint) == (errors.NoSpaceError, "full", "clean up")


def test_errors_have_kind_and_hint(hub: MakeHub) -> None:
    write_registry({"test-model": model(FILE, REPO), "gone": model("x.gguf", "test/gone")})
    server = hub({REPO: {FILE: gguf()}, "test/gated": {FILE: gguf(seed=2)}}, "--gated", "test/gated", "--keep-faults")
    manager = Manager()
    with pytest.raises(errors.NotFoundError) as unknown:
        manager.download("tset-model")
    assert unknown.value.hint is not None and unknown.value.kind == "not_found"
    with pytest.raises(errors.UsageError):
        manager.download("test-model:q4_k_m", quant="q8_0")
    with pytest.raises(errors.UsageError):
        Manager(config_path="nowhere.yaml")
    with pytest.raises(errors.UsageError):
        Manager(link="wormhole")  # type: ignore[arg-type]
    with pytest.raises(errors.NotFoundError):
        manager.path("test-model")
    with pytest.raises(errors.NetworkError):
        Manager(offline=True).download("test-model")
    with pytest.raises((errors.NotFoundError, errors.AuthError)):
        manager.download("gone")
    with pytest.raises(errors.AuthError):
        manager.download("test/gated:q4_k_m")
    server.tell("fault flip 100")
    with pytest.raises(errors.DamagedError):
        manager.download("test-model")
    assert ModelManager().download_model("test-model") is None
    assert manager.list() == []


def test_events_come_in_order_and_in_this_thread(fast: Hub) -> None:
    seen: list[events.Event] = []
    threads = set()

    def progress(event: events.Event) -> None:
        seen.append(event)
        threads.add(threading.get_ident())

    Manager(limit_rate=16 * MIB).download("test-model", progress=progress)
    assert threads == {threading.get_ident()}
    kinds = [type(event) for event in seen]
    assert kinds[0] is events.Planned and kinds[-1] is events.FileFinished
    assert kinds.index(events.FileStarted) < kinds.index(events.Progress)
    done = [event.done for event in seen if isinstance(event, events.Progress)]
    assert done == sorted(done) and done[-1] <= len(BIG)


def test_what_came_without_a_published_hash_is_never_called_verified(hub: MakeHub) -> None:
    hub({REPO: {FILE: BIG}}, "--no-hash", f"{REPO}:{FILE}")
    seen: list[events.Event] = []
    manager = Manager()
    done = manager.download(f"{REPO}:q4_k_m", progress=seen.append)
    assert done.files[0].trust == "tofu"
    assert [event.published for event in seen if isinstance(event, events.FileFinished)] == [False]
    (file,) = manager.verify()
    assert file.state == "unverified" and "never compared with a published hash" in (file.note or "")
    (blob,) = manager.why(done.path)
    assert blob.trust == "tofu"
    (locked,) = manager.lock().models
    assert locked.unpublished == 1


def test_what_has_a_published_hash_says_so(fast: Hub) -> None:
    seen: list[events.Event] = []
    manager = Manager()
    done = manager.download("test-model", progress=seen.append)
    assert done.files[0].trust == "sha256-upstream"
    assert [event.published for event in seen if isinstance(event, events.FileFinished)] == [True]
    (locked,) = manager.lock().models
    assert locked.unpublished == 0


def test_what_a_callback_raises_stops_the_download(slow: Hub) -> None:
    def progress(event: events.Event) -> None:
        if isinstance(event, events.Progress) and event.done > 8 * MIB:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Manager().download("test-model", progress=progress)
    assert settled(slow) < len(BIG)
    # The next call resumes from there.
    done = Manager().download("test-model")
    assert done.download_bytes < len(BIG)
    assert done.path.read_bytes() == BIG


def test_a_cancel_token_stops_it_from_another_thread(slow: Hub) -> None:
    cancel = model_manager.CancelToken()
    threading.Timer(1, cancel.cancel).start()
    start = time.monotonic()
    with pytest.raises(errors.CancelledError):
        Manager().download("test-model", cancel=cancel)
    assert 0.9 < time.monotonic() - start < 5
    with pytest.raises(errors.CancelledError):
        Manager().download("test-model", cancel=cancel)


@pytest.mark.parametrize("call", ['download("test-model", ', "sync("])
def test_ctrl_c_stops_it_and_the_next_run_goes_on(slow: Hub, call: str) -> None:
    Manager().lock("test-model")
    process = child(CHILD.replace('download("test-model", ', call))
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[1]) > 6 * MIB:
            break
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, problem = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert "KeyboardInterrupt" in problem
    assert process.returncode in (-signal.SIGINT, 130)
    done = Manager().download("test-model")
    assert done.download_bytes < len(BIG) - 3 * MIB
    assert done.path.read_bytes() == BIG


def test_a_child_that_is_killed_leaves_what_it_had(slow: Hub) -> None:
    process = child()
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[1]) > 10 * MIB:
            break
    process.kill()
    process.communicate()
    assert Manager().download("test-model").download_bytes < len(BIG) - 3 * MIB


def test_two_processes_make_one_transfer(slow: Hub) -> None:
    children = [child(), child()]
    fetched = []
    for process in children:
        out, problem = process.communicate(timeout=60)
        assert process.returncode == 0, problem
        fetched.append(int(out.splitlines()[-1].split()[1]))
    assert sorted(fetched) == [0, len(BIG)]
    assert slow.content_bytes() == len(BIG)


def test_many_threads_and_managers_make_one_transfer_and_python_goes_on(slow: Hub) -> None:
    managers = [Manager(), ModelManager()] * 2
    results: list[int] = []
    work = [threading.Thread(target=lambda one=one: results.append(one.download("test-model").download_bytes)) for one in managers]
    ticks = 0
    for thread in work:
        thread.start()
    while any(thread.is_alive() for thread in work):
        time.sleep(0.01)
        ticks += 1
    assert sorted(results) == [0, 0, 0, len(BIG)]
    assert slow.content_bytes() == len(BIG)
    assert ticks > 20, "the interpreter was not held"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_the_child_can_go_on(fast: Hub) -> None:
    manager = Manager()
    manager.download("test-model")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            manager.remove("test-model")
            if manager.download("test-model").download_bytes == len(BIG) and manager.verify()[0].is_good:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert manager.verify("test-model")[0].is_good


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_middle_of_a_download_harms_neither(slow: Hub) -> None:
    manager = Manager()
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(manager.download("test-model").download_bytes))
    thread.start()
    time.sleep(0.8)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            time.sleep(0.3)
            code = 0 if manager.list() == [] else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    assert results == [len(BIG)]
    assert manager.verify("test-model")[0].is_good


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_in_the_middle_holds_no_lock(slow: Hub) -> None:
    thread = threading.Thread(target=Manager().download, args=["test-model"])
    thread.start()
    time.sleep(0.8)
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        thread.join()
        manager = Manager(lock_timeout=3)
        manager.remove("test-model")
        assert manager.download("test-model").download_bytes == len(BIG)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_slow_hub_that_fails_in_the_middle_is_asked_again(fast: Hub) -> None:
    fast.tell("fault cut 100000")
    fast.tell("fault status 503")
    done = Manager().download("test-model")
    assert done.path.read_bytes() == BIG


def test_asyncio(slow: Hub) -> None:
    seen: list[events.Event] = []

    async def both() -> tuple[int, int]:
        ticks = 0
        loop_thread = threading.get_ident()

        def progress(event: events.Event) -> None:
            assert threading.get_ident() == loop_thread
            seen.append(event)

        task = asyncio.ensure_future(Manager().download_async("test-model", progress=progress))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return task.result().download_bytes, ticks

    fetched, ticks = asyncio.run(both())
    assert fetched == len(BIG) and ticks > 20
    assert isinstance(seen[-1], events.FileFinished)


def test_a_cell_of_a_notebook_may_call_either(fast: Hub) -> None:
    """A notebook runs its cells in an event loop, whose thread a cell blocks as long as it likes."""

    async def cells() -> None:
        manager = ModelManager()
        path = manager.download_model("test-model")
        assert path is not None and manager.verify_model(path)
        assert (await manager.download_async("test-model")).download_bytes == 0

    asyncio.run(cells())


def test_cancelling_a_task_stops_the_download(slow: Hub) -> None:
    async def run() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Manager().download_async("test-model"), 1)
        assert settled(slow) < len(BIG)

        def progress(event: events.Event) -> None:
            if isinstance(event, events.Progress):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Manager().download_async("test-model", progress=progress)
        with pytest.raises(errors.NotFoundError):
            await Manager().download_async("nope")

    asyncio.run(run())


def test_bars(fast: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    with model_manager.tqdm_progress(mininterval=0) as progress:
        Manager().download("test-model", progress=progress)
    assert FILE in capsys.readouterr().err


def test_a_store_can_be_shared(fast: Hub) -> None:
    Manager("a", store="store").download("test-model")
    assert Manager("b", store="store").download("test-model").download_bytes == 0
    assert fast.content_bytes() == len(BIG)
    assert Manager("b", store="store").store_dir == Path("store")


def test_a_token_is_sent_and_never_shown(hub: MakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub({REPO: {FILE: gguf()}}, "--token", f"hf_secret={REPO}", "--gated", REPO)
    with pytest.raises(errors.AuthError):
        Manager().download(f"{REPO}:q4_k_m")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in repr(Manager()) + repr(vars(Manager()))


def test_ctrl_c_while_waiting_for_another_process(slow: Hub) -> None:
    first = child()
    assert first.stdout is not None
    first.stdout.readline()
    second = child()
    time.sleep(1)
    second.send_signal(signal.SIGINT)
    _, problem = second.communicate(timeout=10)
    assert "KeyboardInterrupt" in problem
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0 and out.splitlines()[-1] == f"fetched {len(BIG)}"


def test_importing_it_imports_little() -> None:
    slow = "('yaml', 'asyncio', 'tqdm', 'huggingface_hub', 'dataclasses', 'logging', 'json', 'model_manager.results')"
    code = f"import sys; before = set(sys.modules); import model_manager; print([m for m in {slow} if m in sys.modules and m not in before])"
    assert python("-c", code).stdout.strip() == "[]"
    assert python("-c", "import model_manager; print(model_manager.results.Plan, model_manager.events.Notice)").returncode == 0


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server's file with the content ``BIG``."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / FILE).write_bytes(BIG)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/{FILE}"
        server.shutdown()


def test_a_file_of_a_web_server_is_held_against_the_sha256_that_is_given(web: str) -> None:
    manager = Manager()
    with pytest.raises(errors.UsageError, match="no SHA-256"):
        manager.download(web, sha256="abc")
    with pytest.raises(errors.ModelManagerError, match="sha256"):
        manager.download(web, sha256="0" * 64)
    assert not list(Path("models").rglob("*.gguf"))
    (planned,) = manager.plan(web, sha256=sha256(BIG)).files
    assert planned.sha256 == sha256(BIG)
    assert sha256(BIG) in manager.add(web, id="big", sha256=sha256(BIG)).entry
    assert manager.download("big").path.read_bytes() == BIG
    assert manager.download(web, sha256=sha256(BIG)).path.read_bytes() == BIG


def test_a_note_advises_a_call_of_the_manager(fast: Hub) -> None:
    write_registry({"test-model": model(FILE, REPO, sha256=sha256(BIG))})
    place = Path("models/test-model/gguf/q4_k_m") / FILE
    place.parent.mkdir(parents=True)
    place.write_bytes(BIG)
    manager = Manager()
    (verified,) = manager.verify("test-model")
    assert verified.note == 'a plain file; `m.download("test-model:q4_k_m")` takes it into the store'
    manager.download("test-model")
    manager.lock()
    blob = place.resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"x" * len(BIG))
    manager.verify("test-model")
    (locked,) = manager.lock().models
    assert locked.note is not None and locked.note.endswith('damaged here; run `m.repair("test-model:q4_k_m")`')
