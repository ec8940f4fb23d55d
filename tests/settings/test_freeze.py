"""freeze, timezone, approval_expires: what app.toml may say, and what a mistake in it is answered."""

import pytest
from pydantic import ValidationError

from tandem.settings import EnvironmentSettings

ALLOWED = '"2026-12-24..2027-01-02"'


def environment(**keys: object) -> EnvironmentSettings:
    return EnvironmentSettings.model_validate({"target": "process:", **keys})


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-12-24",
        "2026-12-24..",
        "2026-12-24..2026-12-23",
        "2026-02-30..2026-03-01",
        "2026-12-24..Mon 06:00",
        "24.12.2026..02.01.2027",
        "9999-12-31..9999-12-31",
        "0001-01-01..2026-01-01",
        "Fri 15:00..Fri 15:00",
        "Mon 00:00..Sun 24:00",
        "Fri 15:00..2026-12-24",
        "Fri 15..Mon 6",
        "Fri 25:00..Mon 06:00",
        "Fri 15:60..Mon 06:00",
        "Fr 15:00..Mo 06:00",
        "١٢ 15:00..Mon 06:00",
        "Fri 15:00-Mon 06:00",
        "",
        "..",
        "always",
        7,
        True,
        {"from": "Fri 15:00"},
    ],
)
def test_a_freeze_that_nobody_can_read_is_answered_with_what_is_allowed(wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        environment(freeze=[wrong])
    assert ALLOWED in str(caught.value) and "Fri 15:00..Mon 06:00" in str(caught.value)


def test_one_freeze_needs_no_list_and_days_no_capitals() -> None:
    assert environment(freeze="fri 15:00 .. MON 6:00").freeze[0].week == (4 * 1440 + 900, 2 * 1440 + 15 * 60)
    assert environment(freeze="Sat 00:00..Sun 24:00").freeze[0].week == (5 * 1440, 2 * 1440)


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "/etc/localtime", "CEST+1", "a" * 300]
)
def test_a_time_zone_that_is_not_there_is_answered_with_an_example(name: str) -> None:
    with pytest.raises(ValidationError, match="Europe/Berlin"):
        environment(timezone=name)


def test_an_approval_expires_after_days() -> None:
    assert environment(approval_expires="2d").approval_expires == 2 * 86400
    assert environment().approval_expires == 7 * 86400
    with pytest.raises(ValidationError, match="7d"):
        environment(approval_expires="a week")
