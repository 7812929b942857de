"""The Model Manager under the name it had as a tool of Agent Arena: ``from tools.model_manager import ModelManager``."""

from model_manager import ModelManager
from model_manager._cli import main

__all__ = ["ModelManager", "main"]
