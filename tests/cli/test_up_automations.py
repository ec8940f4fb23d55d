"""Automations that `tandem up` installs: renewed when Tandem's change, left alone when a person changed one."""

import pytest

from tandem.cli import automations


@pytest.fixture
def late(machine):
    """The automation over late releases as the server holds it; afterwards it is Tandem's again."""
    yield lambda: find(machine.api())
    api = machine.api()
    api.ask("DELETE", f"automations/{find(api)['id']}")
    assert list(automations.ensure(api)) == [f"automation {automations.LATE!r}: installed"]


def find(api, name=automations.LATE):
    return api.post("automations/filter", {"automations": {"name": {"any_": [name]}}})[0]


def test_they_stand_there_and_start_what_they_should(machine, late):
    silent, reconcile = find(machine.api(), automations.SILENT), machine.api().get(automations.RECONCILE)
    assert silent["enabled"] and silent["trigger"]["within"] == 90 and silent["actions"][0]["state"] == "CRASHED"
    assert late()["trigger"]["posture"] == "Proactive" and late()["trigger"]["within"] == 600
    assert late()["actions"][0]["deployment_id"] == reconcile["id"]
    crashed = find(machine.api(), automations.CRASHED)
    assert crashed["trigger"]["posture"] == "Reactive" and crashed["actions"][0]["schedule_after"] == 62
    assert list(automations.ensure(machine.api())) == []


def test_one_that_tandem_changed_is_renewed(machine, late):
    api, before = machine.api(), late()
    older = {key: before[key] for key in ("name", "trigger", "actions")} | {"description": "as an older Tandem had it"}
    api.ask("PUT", f"automations/{before['id']}", older)
    automations.stamp(api, older, find(api))
    assert list(automations.ensure(api)) == [f"automation {automations.LATE!r}: renewed"]
    assert late()["id"] == before["id"] and "10 minutes" in late()["description"]
    assert list(automations.ensure(api)) == []


@pytest.mark.parametrize("edit", [{"enabled": False}, {"description": "Ours"}])
def test_one_that_a_person_edited_is_left_as_it_is(machine, late, edit):
    api, before = machine.api(), late()
    document = {key: before[key] for key in ("name", "description", "enabled", "trigger", "actions", "tags")}
    stale = [tag for tag in before["tags"] if not tag.startswith(automations.OURS)] + [f"{automations.OURS}older"]
    api.ask("PUT", f"automations/{before['id']}", document | {"tags": stale} | edit)
    (said,) = automations.ensure(api)
    assert "edited by a person" in said
    assert edit.items() <= late().items()


def test_one_without_a_stamp_is_a_persons(machine, late):
    api, before = machine.api(), late()
    document = {key: before[key] for key in ("name", "description", "trigger", "actions")}
    api.ask("PUT", f"automations/{before['id']}", document | {"tags": []})
    (said,) = automations.ensure(api)
    assert "edited by a person" in said
