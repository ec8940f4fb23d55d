import pytest

from tandem.images.dockerfile import parse

TEXT = """# a comment
ARG BASE=python

FROM ${BASE} AS one
RUN pip install \\
    # why this one
    flask \\

    gunicorn
COPY <<EOF /etc/motd
RUN nothing of this
EOF
CMD ["python"]
"""


def test_each_instruction_has_the_line_it_begins_at() -> None:
    found = [(each.line, each.text) for each in parse(TEXT).instructions]
    assert found == [
        (2, "ARG BASE=python"),
        (4, "FROM ${BASE} AS one"),
        (5, "RUN pip install flask gunicorn"),
        (10, "COPY <<EOF /etc/motd"),
        (13, 'CMD ["python"]'),
    ]


def test_a_step_and_a_line_lead_to_their_instruction() -> None:
    file = parse(TEXT)
    assert file.step(3) == "Dockerfile:5: RUN pip install flask gunicorn"
    assert file.step(6) == file.step(0) == "Dockerfile"  # the label that the builder adds, and no step yet
    assert file.at(9) == file.step(3) and file.at(1) == "Dockerfile"


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("RUN --mount=type=cache,target=/root/.cache pip install .", True),
        ("RUN --network=none make", True),
        ("COPY --link . /srv", True),
        ("COPY --chown=1:1 --chmod=755 run /srv/", True),
        ("ADD <<'END' /x", True),
        ("RUN cat <<END > /x", True),
        ("run <<END", True),
        ("COPY --from=one --chown=1:1 a b", False),
        ("RUN make --mount-all; test 1 -lt 2 && echo $((1<<2))", False),
        ("RUN kmod --mount=/x", False),
        ("ENV X=--mount", False),
    ],
)
def test_what_only_buildkit_knows_is_seen(line: str, needs: bool) -> None:
    assert bool(parse(f"FROM scratch\n{line}\n").buildkit) is needs


def test_a_frontend_of_its_own_needs_buildkit_and_a_comment_does_not() -> None:
    assert parse("# syntax=docker/dockerfile:1\nFROM x\n").buildkit == "Dockerfile:1: # syntax=docker/dockerfile:1"
    assert parse("# a word\n# syntax=docker/dockerfile:1\nFROM x\n").buildkit is None


def test_another_escape_joins_lines_by_it() -> None:
    found = parse("# escape=`\nFROM x\nRUN dir C:\\ `\n  && more\nUSER 1\n").instructions
    assert [(each.line, each.text) for each in found] == [
        (2, "FROM x"),
        (3, "RUN dir C:\\ && more"),
        (5, "USER 1"),
    ]
