"""``python -m model_manager``."""

from ._cli import main

if __name__ == "__main__":
    raise SystemExit(main("python -m model_manager"))
