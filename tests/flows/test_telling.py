"""Who hears of what: the tiny app's line, with a real web server, mail server and forge at the other end."""

import pytest

from tandem.errors import ImageFailed, ReleaseFailed, SuiteFailed
from tandem.flows import ingredients, telling
from tandem.flows.integrate import integrate
from tandem.flows.release import release
from tandem.flows.rollback import rollback
from tandem.settings import Settings
from tests.flows.hearers import HEARD, assert_no_secret, titles
from tests.messages.doubles import Mail, Web, words

APPROVAL = "approval = true\n" + HEARD


def forge(line, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's commits have their statuses at this server, which is taken for a GitHub of one's own."""
    monkeypatch.setenv("GITHUB_TOKEN", "tok-en-5")
    toml = line.root / "deployments" / "tiny" / "app.toml"
    address = f'repository = "file://{line.root}/code"\nstatus = {{ env = "GITHUB_TOKEN" }}\nforge = "github"\n'
    toml.write_text(toml.read_text().replace('repository = "code"\n', f'{address}api = "{web.url}"\n'))


@pytest.mark.more(HEARD)
def test_a_commit_whose_tests_fail_is_told_to_the_team_and_its_author_once(line, team: Web, author: Mail) -> None:
    commit = line.commit(GREETING="BROKEN")
    for _ in range(2):
        with pytest.raises(SuiteFailed):
            integrate("tiny")
    assert titles(team) == [f"tiny: commit {commit[:12]} did not come through: its own tests failed"]
    said = team.posted[0].json()["message"]
    assert "Change 1 things — ann" in said and "test_it_is_whole" in said and "/runs/flow-run/" in said
    ((to, mailed),) = author.delivered
    assert to == ["ann@example.org"] and "test_it_is_whole" in words(mailed)


@pytest.mark.more(HEARD)
def test_a_model_that_fails_with_a_good_commit_is_not_told_to_the_commits_author(line, team: Web, author: Mail) -> None:
    integrate("tiny")
    model = line.publish(answer=8)
    for _ in range(2):
        with pytest.raises(ImageFailed):
            integrate("tiny")
    assert titles(team) == [f"tiny: model {model[:12]} did not come through: its image does not work"]
    assert "/answer" in team.posted[0].json()["message"] and author.delivered == []


@pytest.mark.more(HEARD)
def test_bad_luck_is_not_told_before_it_lasts(line, team: Web, author: Mail) -> None:
    registry = line.root / "registry"
    registry.mkdir()
    (registry / "blobs").write_text("the share is not mounted")
    with pytest.raises(Exception, match="registry"):
        integrate("tiny")
    assert team.posted == [] and author.delivered == []


@pytest.mark.more(HEARD)
def test_a_release_is_told_with_how_to_take_it_back_and_so_is_taking_it_back(line, team: Web, author: Mail) -> None:
    first = integrate("tiny")
    release("tiny", "local")
    line.commit()
    second = integrate("tiny")
    release("tiny", "local")
    assert release("tiny", "local") is None
    rollback("tiny", "local", why="wrong prices", by="bea")
    assert titles(team) == [
        f"tiny: local runs {first.tag}",
        f"tiny: local runs {second.tag}",
        f"tiny: local is back on {first.tag}",
    ]
    forwards, back = (team.posted[n].json() for n in (1, 2))
    assert (
        "tandem rollback tiny local --why TEXT" in forwards["message"]
        and "Change 0 things — ann" in forwards["message"]
    )
    assert f"Before: {first.tag}" in forwards["message"] and forwards["type"] == "success"
    assert "bea took it back by hand" in back["message"] and "wrong prices" in back["message"]


@pytest.mark.more(HEARD)
def test_what_is_taken_back_is_told_with_whom_it_blames(line, team: Web, author: Mail) -> None:
    good = integrate("tiny")
    release("tiny", "local")
    bad = line.commit(good="bad")
    integrate("tiny")
    with pytest.raises(ReleaseFailed):
        release("tiny", "local")
    assert titles(team)[1:] == [f"tiny: local runs {good.tag} again; commit {bad[:12]} is blocked"]
    said = team.posted[-1].json()
    assert "/greeting" in said["message"] and f"tandem unblock tiny local {bad[:12]}" in said["message"]
    assert said["type"] == "failure"


@pytest.mark.more(HEARD)
def test_a_failure_of_the_environment_is_told_once_and_not_every_night(line, team: Web, author: Mail) -> None:
    integrate("tiny")
    toml = line.root / "deployments" / "tiny" / "app.toml"
    well = toml.read_text()
    toml.write_text(well.replace('target = "process:"', 'target = "kubernetes://nowhere/tiny"'))
    for _ in range(2):
        with pytest.raises(Exception, match="nowhere"):
            release("tiny", "local")
    toml.write_text(well)
    assert titles(team) == ["tiny: the release to local could not begin"]
    assert "nowhere" in team.posted[0].json()["message"]


@pytest.mark.more(APPROVAL)
def test_an_approval_is_asked_for_once_with_the_command(line, team: Web, author: Mail) -> None:
    candidate = integrate("tiny")
    for _ in range(2):
        assert release("tiny", "local") is None
    assert titles(team) == [f"tiny: may {candidate.tag} go to local?"]
    assert f"tandem approve tiny local {candidate.tag}" in team.posted[0].json()["message"]


def test_a_commit_shows_how_it_went(
    line, team: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forge(line, team, monkeypatch)
    team.answers = [(201, {}, b"{}")]
    candidate = integrate("tiny")
    release("tiny", "local")
    broken = line.commit(GREETING="BROKEN")
    with pytest.raises(SuiteFailed):
        integrate("tiny")
    seen = [(p.path.rpartition("/")[2], p.json()["context"], p.json()["state"]) for p in team.posted]
    good = candidate.pair.commit
    assert seen == [
        (good, "tandem/tiny", "pending"),
        (good, "tandem/tiny", "success"),
        (good, "tandem/tiny/local", "success"),
        (broken, "tandem/tiny", "pending"),
        (broken, "tandem/tiny", "failure"),
    ]
    assert all("/runs/flow-run/" in posted.json()["target_url"] for posted in team.posted)
    assert all(posted.headers["Authorization"] == "Bearer tok-en-5" for posted in team.posted)
    assert_no_secret(caplog)


def test_a_run_that_is_cancelled_leaves_no_commit_pending(line, team: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(line, team, monkeypatch)
    settings = Settings.load("tiny")
    with pytest.raises(KeyboardInterrupt), telling.outcome(settings, ingredients.pick(settings, "HEAD", "newest")):
        raise KeyboardInterrupt
    assert [posted.json()["state"] for posted in team.posted] == ["pending", "error"]


def test_a_forge_that_refuses_costs_a_warning_that_names_the_scope(
    line, team: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forge(line, team, monkeypatch)
    team.answers = [(403, {}, b'{"message": "Resource not accessible by personal access token"}')]
    integrate("tiny")
    assert "needs the scope 'repo:status'" in caplog.text
    assert_no_secret(caplog)
