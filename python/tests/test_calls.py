"""How calls take arguments, what they answer with, and what they show."""

from __future__ import annotations

import copy
import inspect
import io
import json
import logging
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import model_manager
from conftest import MakeHub, model, python, write_registry
from hub import Hub, gguf
from model_manager import Manager, ModelManager, UsageError, events, results
from model_manager.progress import Bars, TextProgress
from model_manager._watch import Watch

FILE = "a.Q4_K_M.gguf"
REPO = "test/test-model-gguf"


@pytest.fixture
def server(hub: MakeHub) -> Hub:
    write_registry({"tiny": model(FILE)})
    return hub({REPO: {FILE: gguf(), "README.md": b"# A"}})


# Results


def test_a_download_is_its_path(server: Hub) -> None:
    done = Manager().download("tiny")
    text = str(done.path)
    assert done == text and str(done) == text and f"{done}" == text and hash(done) == hash(text)
    assert isinstance(done, str) and os.fspath(done) == text and Path(done) == done.path and type(str(done)) is str
    assert (done.model, done.format, done.quant) == ("tiny", "gguf", "q4_k_m")
    with open(done, "rb") as file:
        assert file.read() == gguf()
    # As llama-cpp-python and transformers use it.
    assert done.encode("utf-8") == os.fsencode(done.path) and os.path.exists(done) and json.dumps([done]) == json.dumps([text])
    assert {text: 1}[done] == 1
    (listed,) = Manager().list()
    assert listed == text and listed.state == "stored" and listed.format == "gguf"
    assert "total_bytes=4096" in repr(done)
    for other in (done.files[0], listed.files[0], Manager().plan("tiny"), Manager().verify()[0]):
        assert os.fspath(other) == str(other) == text


def test_one_liners(server: Hub) -> None:
    done = model_manager.download("tiny", quant="q4_k_m")
    assert model_manager.path("tiny", quantization="q4_k_m") == done.path == Path.cwd() / "models/tiny/gguf/q4_k_m" / FILE
    assert model_manager.download("tiny", models_dir="other") == str(Path("other/tiny/gguf/q4_k_m") / FILE)


@pytest.mark.parametrize("again", [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy])
def test_all_results_can_be_pickled_and_copied(server: Hub, again: Callable[[Any], Any]) -> None:
    manager = Manager()
    done = manager.download("tiny")
    all_of_them: list[Any] = [
        manager.plan("tiny"),
        done,
        manager.list(),
        manager.info("tiny"),
        manager.verify(),
        manager.lock(),
        manager.lock(check=True),
        manager.sync(),
        manager.gc(dry_run=True),
        manager.why("tiny"),
        manager.df(),
        manager.doctor(),
        manager.projects(),
        manager.stores(),
        manager.lint(),
        manager.use("tiny", "llama_cpp", dry_run=True),
        manager.remove("tiny", dry_run=True),
        events.Progress("a", 1, 2, 3, None),
    ]
    for value in all_of_them:
        assert again(value) == value and repr(again(value)) == repr(value)
    assert again(done).files == done.files and type(again(done)) is results.Download


@pytest.mark.parametrize("again", [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [Manager, ModelManager])
def test_managers_can_be_pickled_and_copied(server: Hub, kind: type[Manager], again: Callable[[Any], Any]) -> None:
    manager = kind("models", "configs/models.yaml", offline=False, connections=3)
    assert again(manager).registry == manager.registry
    manager.registry["models"]["other"] = model(FILE)
    other = again(manager)
    assert (type(other), other.models_dir, other.config_path) == (kind, Path("models"), Path("configs/models.yaml"))
    assert other.registry == manager.registry and other.registry is not manager.registry
    assert other.download("other").download_bytes == 4096


# Arguments


def test_both_spellings_of_a_quantization(server: Hub) -> None:
    manager = ModelManager()
    for name, method in inspect.getmembers(ModelManager, inspect.isfunction):
        parameters = inspect.signature(method).parameters
        if not name.startswith("_") and {"quant", "quantization"} & set(parameters):
            assert {"quant", "quantization"} <= set(parameters), name
    assert manager.download("tiny", quantization="q4_k_m") == manager.download("tiny", quant="q4_k_m")
    assert manager.download_model("tiny", quant="Q4_K_M") == manager.download_model("tiny", "gguf", "q4_k_m")
    assert manager.path("tiny", quant="q4_k_m", quantization="Q4_K_M") == manager.get_model_path("tiny", quant="q4_k_m")
    calls: list[Callable[..., object]] = [manager.download, manager.plan, manager.path, manager.verify, manager.remove, manager.lock]
    for call in (*calls, manager.info, manager.repair, manager.add, model_manager.download, model_manager.path):
        with pytest.raises(TypeError, match="`quant` and `quantization` are one argument"):
            call("tiny", quant="q4_k_m", quantization="q8_0")
    for call in (manager.download_model, manager.get_model_path, manager.remove_model):
        with pytest.raises(TypeError, match="differ: 'q4_k_m' and 'q8_0'"):
            call("tiny", quant="q4_k_m", quantization="q8_0")
    assert manager.remove_model("tiny", quant="q4_k_m")


def test_words_of_the_hubs_own_library(server: Hub) -> None:
    manager = Manager()
    done = manager.download(f"{REPO}:q4_k_m", revision="main", max_workers=1, token=False, force_download=True)
    assert done.download_bytes == 4096
    assert manager.download(f"{REPO}:q4_k_m", force_download=True).download_bytes == 4096
    before = server.requests()
    assert manager.download(f"{REPO}:q4_k_m", local_files_only=True) == done
    assert server.requests() == before
    text = manager.download(REPO, allow_patterns=["*.md"])
    assert text == str(Path.cwd() / "models/test--test-model-gguf/files/main")
    assert [file.file for file in text.files] == ["README.md"]
    for wrong in ("tiny", f"{REPO}:q4_k_m"):
        with pytest.raises(UsageError, match="patterns"):
            manager.download(wrong, allow_patterns="*.md")
    with pytest.raises(UsageError, match="subfolder"):
        manager.download("tiny", subfolder="x")


def test_a_subfolder_of_a_repository(hub: MakeHub) -> None:
    hub({"a/b": {"BF16/b-BF16.gguf": gguf(), "b-Q4_K_M.gguf": gguf(seed=2), "sub/x.json": b"{}"}})
    manager = Manager()
    assert manager.download("a/b", subfolder="BF16").path.name == "b-BF16.gguf"
    assert manager.plan("hf://a/b", subfolder="BF16/").path.name == "b-BF16.gguf"
    assert [file.file for file in manager.download("a/b", format="files", subfolder="sub").files] == ["sub/x.json"]


WRONG: list[tuple[str, str, Any, str]] = [
    ("download", "model", 5, "`model` must be a str, not int: 5"),
    ("download", "force", "yes", "`force` must be a bool, not str: 'yes'"),
    ("download", "quant", 4, "`quant` must be a str, not int: 4"),
    ("download", "companions", "draft", "`companions` must be a list of str, not str: 'draft'"),
    ("download", "max_workers", "4", "`max_workers` must be an int, not str: '4'"),
    ("download", "progress", "bar", "`progress` must be a function or a bool, not str: 'bar'"),
    ("download", "allow_patterns", 7, "`allow_patterns` must be a str or a list of str, not int: 7"),
    ("download", "token", 7, "`token` must be a bool or a str, not int"),
    ("gc", "grace", "1h", "`grace` must be a number, not str: '1h'"),
    ("why", "what", b"x", "`what` must be a str or a path, not bytes: b'x'"),
    ("lock", "models", [1], "`models` must be a str or a list of str, not list: [1]"),
    ("lint", "online", 1, "`online` must be a bool, not int: 1"),
    ("init", "user", 3, "`user` must be a bool, a str or a path, not int: 3"),
]


@pytest.mark.parametrize("method, argument, value, message", WRONG, ids=[f"{one[0]}-{one[1]}" for one in WRONG])
def test_a_wrong_type_is_named_with_what_is_expected_and_the_value(method: str, argument: str, value: Any, message: str) -> None:
    arguments = {argument: value} if argument == "model" or method != "download" else {"model": "tiny", argument: value}
    with pytest.raises(TypeError, match=re.escape(message)):
        getattr(Manager(offline=True), method)(**arguments)
    with pytest.raises(TypeError, match=re.escape(message)):
        getattr(Manager(offline=True), method)(*[value] if argument in ("model", "what", "models") else [], **arguments)


def test_a_manager_names_what_is_wrong_with_its_own_arguments_and_shows_no_token() -> None:
    with pytest.raises(TypeError, match="`offline` must be a bool, not str: 'yes'"):
        Manager(offline="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`connections` must be an int, not bool: True"):
        Manager(connections=True)
    with pytest.raises(TypeError) as wrong:
        Manager(token=b"hf_secret")  # type: ignore[arg-type]
    assert "hf_secret" not in str(wrong.value)


def test_signatures_are_visible() -> None:
    for kind in (Manager, ModelManager):
        assert "models_dir" in inspect.signature(kind).parameters and "connections" in inspect.signature(kind).parameters
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            parameters = inspect.signature(method).parameters.values()
            assert name.startswith("_") or all(one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) for one in parameters), name
    shown = python("-c", "import model_manager; help(model_manager.Manager.download); help(model_manager.download)").stdout
    # Some versions of Python show annotations in quotes.
    assert shown.replace("'", "").count("allow_patterns: str | Sequence[str] | None = None") == 2


# What is shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_bars_and_a_file_none(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Manager().download("tiny")
    assert FILE in terminal.getvalue() and "100%" in terminal.getvalue()
    for change in ({"HF_HUB_DISABLE_PROGRESS_BARS": "1"}, {"TERM": "dumb"}):
        quiet = Terminal()
        with monkeypatch.context() as here:
            here.setattr(sys, "stderr", quiet)
            for name, value in change.items():
                here.setenv(name, value)
            Manager().download("tiny", force=True)
        assert quiet.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    Manager().download("tiny", force=True)
    assert file.getvalue() == ""
    Manager().download("tiny", force=True, progress=True)
    assert FILE in file.getvalue()
    monkeypatch.setattr(sys, "stderr", terminal)
    before = terminal.getvalue()
    Manager().download("tiny", force=True, progress=False)
    assert terminal.getvalue() == before


def test_without_tqdm_there_is_one_line_of_text(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    Manager().download("tiny")
    lines = re.split(r"[\r\n]", terminal.getvalue())
    assert any("100 %" in line and FILE in line for line in lines) and terminal.getvalue().endswith("\n")
    assert all(len(line) < 60 for line in lines)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_line_of_text_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    text = TextProgress(stream)
    names = ["a-name-that-is-very-long-" * 3 + "Q4_K_M.gguf", "b.gguf"]
    for name in names:
        text(events.FileStarted(name, 10**10, 0))
    text._next = 0
    text(events.Progress(names[0], 10**9, 10**10, 10**8, 90.0))
    text(events.Notice("kind", "a word beside it"))
    for name in names:
        text(events.FileFinished(name, 10**10, 10**10, 0, 1.0, True))
    text.close()
    lines = re.split(r"[\r\n]", stream.getvalue())
    assert all(len(line) < columns for line in lines if "word" not in line), lines
    assert "a word beside it" in lines and "100 %" in lines[-2]
    if columns >= 80:
        assert any("1.0 GB of 20.0 GB  100 MB/s  3:10" in line and "Q4_K_M.gguf" in line for line in lines), lines


def test_a_notebook_without_widgets_gets_a_line_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWidgets:
        def __init__(self, **options: object) -> None:
            raise ImportError("IProgress not found")

    monkeypatch.setattr("tqdm.auto.tqdm", NoWidgets)
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bars = Bars()
    bars(events.FileStarted("a.gguf", 100, 0))
    bars.close()
    assert "a.gguf" in stream.getvalue()


def test_a_notebook_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        config: dict[str, Any] = {"IPKernelApp": {}}

    class IPython:
        get_ipython = Shell

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    with Watch(None, None) as told:
        assert told["progress"]
    with Watch(False, None) as told:
        assert not told["progress"]


def test_a_class_of_bars_can_be_given(server: Hub) -> None:
    made: list[dict[str, Any]] = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            self.n = 0
            made.append(options)

        def update(self, by: int) -> None:
            self.n += by

        def close(self) -> None:
            made[-1]["closed at"] = self.n

    Manager().download("tiny", tqdm_class=Bar)
    assert [(one["desc"], one["total"], one["closed at"]) for one in made] == [(FILE, 4096, 4096)]
    with pytest.raises(TypeError, match="tqdm_class"):
        Manager().download("tiny", tqdm_class=Bar, progress=print)


def test_bars_end_where_the_call_fails(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Bar:
        n = 0

        def __init__(self, **options: Any) -> None:
            pass

        def update(self, by: int) -> None:
            raise RuntimeError("no more bars")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(RuntimeError, match="no more bars"):
        Manager().download("tiny", tqdm_class=Bar)
    assert closed


def test_the_log_tells_what_the_old_tool_told(server: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="model_manager")
    ModelManager().download_model("tiny", quantization="q4_k_m")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert any(f"fetching {FILE} (4096 bytes)" in line for line in lines), lines
    assert lines[-1].startswith("tiny is at ")
    caplog.clear()
    ModelManager().download("tiny", progress=lambda event: None)
    assert not caplog.records, "a function hears it all"


def test_progress_goes_with_every_call_that_takes_time(server: Hub) -> None:
    for name in "add doctor download gc info init lint lock plan remove repair sha256 sync verify download_model".split():
        assert "progress" in inspect.signature(getattr(ModelManager, name)).parameters, name


# The command


def test_what_the_command_prints_can_be_captured(server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    from model_manager._cli import main

    assert main(argv=["download", "tiny"]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(Path("models/tiny/gguf/q4_k_m") / FILE) or out.strip().endswith(FILE)
    assert main(argv=["path", "nothing"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "nothing" in err
    assert main(argv=["info", "--json"]) == 0
    assert "tiny" in json.loads(capsys.readouterr().out)["models"][0]["model"]


def test_what_the_command_prints_goes_where_python_prints() -> None:
    code = (
        "import io, sys, contextlib; from model_manager._cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out: code = main(argv=['--version'])\n"
        "print(code, repr(out.getvalue())); sys.stdout.flush(); main(argv=['--version'])"
    )
    done = python("-c", code)
    version = f"model-manager {model_manager.__version__}"
    assert done.stdout.splitlines() == [f"0 '{version}\\n'", version], done.stderr


# Places


def test_one_store_for_all_projects_of_a_user(server: Hub, tmp_path: Path) -> None:
    store = Manager().init(user=tmp_path / "mine")
    assert store == tmp_path / "mine" == Manager().store_dir
    done = Manager().download("tiny")
    assert Manager("elsewhere/models", "configs/models.yaml").download("tiny").download_bytes == 0 < done.download_bytes
    with pytest.raises(UsageError, match="names another store") as other:
        Manager().init(user=tmp_path / "other")
    assert "settings file" in str(other.value.hint) and "--" not in str(other.value.hint)
    with pytest.raises(UsageError, match="`user`"):
        Manager().init(shared=True, user=True)
    with pytest.raises(UsageError, match="both name a store"):
        Manager(store="x").init(user=True)


def test_the_usual_place_of_a_users_store() -> None:
    store = Manager().init(user=True)
    assert store.is_dir() and Path.home() in store.parents and Manager().store_dir == store


# Lines


def test_lines_are_those_of_the_file() -> None:
    Path("configs").mkdir()
    Path("configs/models.yaml").write_text(
        "# One\n# two\nmodels:\n  bad:\n    huggingface_id: a/b\n    formats:\n      gguf:\n        q4_k_m: {file: ../x.gguf}\n"
    )
    manager = Manager(offline=True)
    with pytest.raises(UsageError, match=r"models\.yaml:8:\d+"):
        manager.download("bad")
    manager.registry["models"]["new"] = model(FILE)
    with pytest.raises(UsageError, match=r"models\.yaml:8:\d+"):
        manager.download("bad")
    manager.registry["models"]["worse"] = {"huggingface_id": 5}
    with pytest.raises(UsageError) as worse:
        manager.download("worse")
    assert not re.search(r"models\.yaml:\d", str(worse.value)), "what is in memory only has no line"
    Path("configs/models.yaml").write_text("\ufeffmodels:\n  a: 1\n b: 2\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"models\.yaml.*3"):
        Manager()
