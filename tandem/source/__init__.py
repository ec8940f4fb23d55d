"""The app's code: its commits, and its own tests."""

from tandem.source.repository import Repository

__all__ = ["Repository"]
