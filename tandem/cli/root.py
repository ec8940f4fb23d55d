"""The root repository on a disk of one's own: how a pod comes to deployments/ and prefect.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandem.errors import SettingsError
from tandem.run import Command, Finished
from tandem.source import git
from tandem.source.refusals import refusal
from tandem.source.validate import address, ref_name

LIMIT = 900.0  # seconds for a clone


@dataclass(frozen=True)
class RootRepository:
    """A repository's branch, and the folder that it is brought into; `token` is for https."""

    repository: str
    branch: str
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def named(cls, environ: Mapping[str, str]) -> "RootRepository":
        """By TANDEM_ROOT_REPOSITORY, TANDEM_ROOT_BRANCH, TANDEM_ROOT_TOKEN, into TANDEM_ROOT. Raises SettingsError."""
        repository, folder = environ.get("TANDEM_ROOT_REPOSITORY"), environ.get("TANDEM_ROOT")
        if not repository or not folder:
            raise SettingsError("TANDEM_ROOT_REPOSITORY must name the root repository, TANDEM_ROOT a folder for it")
        branch = ref_name(environ.get("TANDEM_ROOT_BRANCH") or "main")
        return cls(repository, branch, Path(folder), environ, environ.get("TANDEM_ROOT_TOKEN") or None)

    def bring(self) -> str:
        """Make the folder what the branch is now, with all of its history; the commit's id.

        What lies there beside git's files, .tandem/ above all, stays. Raises Unreachable, SourceError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / ".git").exists():
            self._do("init", "--quiet", "--template=")
            self._do("symbolic-ref", "HEAD", "refs/tandem/none")  # git fetches into no branch that is checked out
            (self.folder / ".git" / "info").mkdir(exist_ok=True)
            (self.folder / ".git" / "info" / "exclude").write_text(".tandem/\n")
        where = address(self.repository, self.folder)
        branches = "+refs/heads/*:refs/heads/*"  # all of them: an app whose code is here may ask for another
        self._do("fetch", "--quiet", "--prune", "--update-shallow", "--no-write-fetch-head", "--", where.url, branches)
        self._do("checkout", "--quiet", "--force", "--detach", f"refs/heads/{self.branch}")
        return self._do("rev-parse", "HEAD").output.strip()

    def _do(self, *words: str) -> Finished:
        where = address(self.repository, self.folder)
        env = git.access(where, self.token, self.environ)
        done = git.do(Command(("git", *words), env, str(self.folder), time_limit=LIMIT))
        if done.code or done.timed_out:
            raise refusal(where, done)
        return done
