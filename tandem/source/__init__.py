"""The app's code: its commits, and its own tests."""

from tandem.source.report import Counts, SuiteReport, TestCase
from tandem.source.repository import Repository
from tandem.source.suite import run_suite

__all__ = ["Counts", "Repository", "SuiteReport", "TestCase", "run_suite"]
