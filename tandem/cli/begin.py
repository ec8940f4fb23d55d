"""The commands that set up and look over: init, check."""


def init() -> None:
    """x"""


def check() -> None:
    """x"""
