"""What the wheel brings, and what it leaves alone."""

from __future__ import annotations

import importlib.metadata
import struct
import sys
import sysconfig
from pathlib import Path

import model_manager
from conftest import python
from hub import REPOSITORY

SITE = Path(sysconfig.get_paths()["platlib"])


def test_the_old_name_is_the_same_class() -> None:
    done = python("-c", "import tools.model_manager as old, model_manager as new; print(old.ModelManager is new.ModelManager)")
    assert done.stdout == "True\n", done.stderr


def test_tools_of_others_are_not_hidden() -> None:
    assert not (SITE / "tools/__init__.py").exists()
    # Another folder `tools` without __init__.py is joined with ours.
    Path("tools").mkdir()
    Path("tools/mine.py").write_text("answer = 42\n")
    code = "import tools.mine, tools.model_manager; print(tools.mine.answer)"
    assert python("-c", code).stdout == "42\n"
    # One with it is somebody's own package, and wins.
    Path("tools/__init__.py").write_text("answer = 43\n")
    assert python("-c", "import tools; print(tools.answer)").stdout == "43\n"
    assert "No module named tools.model_manager" in python("-m", "tools.model_manager", "info").stderr
    # It takes ours in with the one line that the README gives.
    Path("tools/__init__.py").write_text(f"{readme_line('extend_path')}\nanswer = 44\n")
    assert python("-c", f"{code}; print(tools.answer)").stdout == "42\n44\n"
    assert python("-m", "tools.model_manager", "info").returncode == 0


def readme_line(word: str) -> str:
    (line,) = [line.strip() for line in (REPOSITORY / "python/README.md").read_text().splitlines() if word in line]
    return line


def test_the_command_is_there() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="model-manager")
    assert callable(script.load())
    assert (Path(sys.executable).parent / "model-manager").exists()


def test_everything_public_is_documented_and_there() -> None:
    for module in (model_manager, model_manager.errors, model_manager.events, model_manager.results):
        assert module.__doc__
        for name in module.__all__:
            thing = getattr(module, name)
            assert name == "__version__" or name == "Event" or thing.__doc__, name
    for name in dir(model_manager.Manager):
        assert name.startswith("_") or getattr(model_manager.Manager, name).__doc__, name
    assert (Path(model_manager.__file__).parent / "py.typed").exists()
    assert model_manager.__version__ == importlib.metadata.version("model-manager")


def test_the_wheel_has_the_licences_an_address_and_no_symbols_for_debuggers() -> None:
    files = importlib.metadata.files("model-manager") or []
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        (licence,) = [file for file in files if file.name == name]
        assert licence.read_text() == (REPOSITORY / name).read_text() == (REPOSITORY / "python" / name).read_text()
    metadata = importlib.metadata.metadata("model-manager")
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata.get_all("Project-URL") == ["Documentation, https://docs.rs/model-manager"]
    if sys.platform == "linux":
        (library,) = [file for file in files if file.name.startswith("_native") and file.suffix == ".so"]
        assert not {".symtab", ".debug_info"} & set(sections(library.read_binary()))


def sections(elf: bytes) -> list[str]:
    """The names of the sections of a 64-bit ELF file."""
    (table,), (size, count, names) = struct.unpack_from("<Q", elf, 40), struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<I20xQ", elf, table + size * number) for number in range(count)]
    start = headers[names][1]
    return [elf[start + name : elf.index(b"\0", start + name)].decode() for name, _ in headers]


def test_a_wheel_unwinds_whatever_other_builds_do() -> None:
    profile = (REPOSITORY / "Cargo.toml").read_text().split("[profile.wheel]")[1].split("[")[0]
    assert 'panic = "unwind"' in profile and "strip = true" in profile
    assert 'profile = "wheel"' in (REPOSITORY / "python/pyproject.toml").read_text()
