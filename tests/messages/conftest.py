"""A web server and a mail server for each test that asks for one."""

from collections.abc import Iterator

import pytest

from tests.messages.doubles import Mail, Web, mail, web


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as double:
        yield double


@pytest.fixture
def mailbox() -> Iterator[Mail]:
    with mail() as double:
        yield double
