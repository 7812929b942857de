"""``python -m tools.model_manager``."""

from model_manager._cli import main

if __name__ == "__main__":
    raise SystemExit(main("python -m tools.model_manager"))
