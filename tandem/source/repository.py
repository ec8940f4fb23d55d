"""The app's repository: refs become commits, history is read, commits are checked out. Only commits ever ride."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tandem.errors import SourceError
from tandem.records import Commit, Source
from tandem.run import Command, Failed
from tandem.settings import SourceSettings
from tandem.source import git, mirror
from tandem.source.folders import run_folder
from tandem.source.refusals import refusal
from tandem.source.validate import FULL_ID, SHORT_ID, Address, address, literal_paths, ref_name

# id, committer's time in seconds, author, email, subject: each cut, since their lengths are the committer's choice
FORMAT = "--format=%H%n%ct%n%<(200,trunc)%an%n%<(200,trunc)%ae%n%<(500,trunc)%s"


class Repository:
    """One app's repository, by way of its mirror in ROOT/.tandem/mirrors.

    The mirror is brought up to date once, on first use, and by `fetch`; a full commit id that is in it already needs
    neither. `token` is for https. `surroundings` is the environment that git's own variables are taken from.
    Every method raises Unreachable (worth retrying) and SourceError.
    """

    def __init__(
        self,
        settings: SourceSettings,
        app: str,
        root: Path,
        token: str | None = None,
        surroundings: Mapping[str, str] | None = None,
    ) -> None:
        self.branch = ref_name(settings.branch)
        self.app = app
        self._home = root / ".tandem"
        surroundings = os.environ if surroundings is None else surroundings
        self._env = git.environment(surroundings)
        self._address = address(settings.repository, root)
        self._access = git.access(self._address, token, surroundings)
        self.prefix = self._enclosing(root) if settings.repository == "." else ""
        self._paths = literal_paths(settings.paths, self.prefix)
        self._mirror = mirror.place(self._home / "mirrors", self._address)
        self._fresh = False

    def __str__(self) -> str:
        return self._address.url

    @property
    def mirror(self) -> Path:
        """Where its copy on this machine is; two apps of one address have one."""
        return self._mirror

    def fetch(self) -> None:
        """Bring the mirror up to date now."""
        mirror.fetch(self._mirror, self._address, self._access)
        self._fresh = True

    def fetched(self) -> "Repository":
        """Itself, with the mirror taken as up to date: this run has fetched it, for another app."""
        self._fresh = True
        return self

    def commit(self, ref: str = "HEAD") -> Commit:
        """The commit that a branch, a tag or an id (7 digits at least) means now; "HEAD": the tip of source.branch."""
        name = ref_name(ref)
        if not (FULL_ID.fullmatch(name) and self._has(name)):
            self._refresh()
        if (found := self._resolve(name)) is None:
            raise SourceError(f"{self}: no commit {name[:12]!r} ({self._there_is()})")
        return self._read(found)

    def newest(self) -> Commit:
        """The branch's newest commit that matters."""
        self._refresh()
        if (commit := next(self.history(1), None)) is None:
            raise SourceError(f"{self}: no commit of branch {self.branch!r} touches source.paths ({self._says()})")
        return commit

    def history(self, limit: int | None = None) -> Iterator[Commit]:
        """The commits that matter, newest first, along the first parents of the branch; read as they are asked for."""
        self._refresh()
        tip = self._resolve("HEAD")
        if tip is None:
            raise SourceError(f"{self}: no branch {self.branch!r} ({self._there_is()}): set source.branch")
        yield from self._log(tip, limit)

    def effective(self, commit: Commit) -> Commit:
        """The newest commit at or before this one, along first parents, that matters: whose candidate this one's is."""
        if (found := next(self._log(commit.id, 1), None)) is None:
            raise SourceError(f"{self}: no commit up to {commit.id[:12]} touches source.paths ({self._says()})")
        return found

    def between(self, old: str, new: str, limit: int = 100) -> list[Commit]:
        """The commits that matter from `old` (without) to `new` (with), newest first, `limit` at most: release notes.

        Both are full ids; empty where one is gone, or they have no common history.
        """
        self._refresh()
        if not (self._has(old) and self._has(new)):
            return []
        try:
            git.ask(self._command("merge-base", old, new))
        except Failed:
            return []
        return list(self._log(new, limit, f"^{old}"))

    def notes(self, commit: Commit) -> list[str]:
        """What of the commit will not be in its checkout, as sentences: submodules, files under Git LFS."""
        listed = git.answers(self._command("ls-tree", "-r", "-z", "--full-tree", commit.id))
        entries = [os.fsdecode(entry).partition("\t") for entry in listed]
        modules = [path for facts, _, path in entries if facts.startswith("160000 ")]
        said = [f"submodule {_shown(path)} is not fetched: its folder is empty" for path in modules]
        rules = [path for _, _, path in entries if path.rpartition("/")[2] == ".gitattributes"]
        with contextlib.suppress(Failed):  # exit code 1: no match
            words = ("grep", "-zlE", "filter=lfs", commit.id, "--", *rules)
            for found in git.answers(self._command(*words)) if rules else ():
                path = _shown(os.fsdecode(found.partition(b":")[2]))
                said.append(f"{path} puts files under Git LFS: they are pointers here, not their content")
        return said

    def files(self, commit: str, folder: str) -> dict[str, bytes]:
        """The files below a folder at a commit (full id), by their path from it; none where there is no such folder."""
        if self._resolve(commit) is None:
            raise SourceError(f"{self}: no commit {commit[:12]} ({self._there_is()})")
        place = f"{self.prefix}{folder.strip('/')}/"
        entries = git.answers(self._command("ls-tree", "-r", "-z", "--full-tree", commit, "--", place))
        found = {}
        for entry in entries:
            facts, _, path = entry.decode(errors="surrogateescape").partition("\t")
            mode, _, blob = facts.split()
            if mode.startswith("100"):  # no symbolic link, no submodule
                content = b"\0".join(git.answers(self._command("cat-file", "blob", blob)))
                found[path.removeprefix(place)] = content
        return found

    @contextlib.contextmanager
    def checked_out(self, commit: Commit) -> Iterator[Source]:
        """The commit's files in a folder of this run alone, without .git; removed afterwards."""
        if not self._has(commit.id):
            self._refresh()
        with run_folder(self._home / "worktrees", f"{self.app}-{commit.id[:12]}") as folder:
            tree = folder / "tree"
            tree.mkdir()
            env = {**self._env, "GIT_INDEX_FILE": str(folder / "index"), "GIT_WORK_TREE": str(tree)}
            words = ("read-tree", "--reset", "-u", commit.id)
            finished = git.do(git.command(self._mirror, *words, env=env, time_limit=1800))
            if finished.code:
                raise SourceError(f"{self}: commit {commit.id[:12]} could not be checked out: {finished.output[-600:]}")
            inner = tree / self.prefix
            if not inner.is_dir() or not inner.resolve().is_relative_to(tree.resolve()):
                raise SourceError(f"{self}: commit {commit.id[:12]} has no folder {self.prefix}")
            yield Source(commit, str(inner))

    def _refresh(self) -> None:
        if not self._fresh:
            self.fetch()

    def _command(self, *words: str) -> Command:
        return git.command(self._mirror, *words, env=self._env)

    def _has(self, commit: str) -> bool:
        if not FULL_ID.fullmatch(commit) or not self._mirror.exists():
            return False
        return git.do(self._command("cat-file", "-e", f"{commit}^{{commit}}")).code == 0

    def _resolve(self, name: str) -> str | None:
        """The full id of a branch, a tag or an id; the server is asked for a full id that no branch leads to."""
        if FULL_ID.fullmatch(name):
            if not self._has(name):
                with contextlib.suppress(SourceError):
                    mirror.fetch(self._mirror, self._address, self._access, wanted=name)
            return name if self._has(name) else None
        name = self.branch if name == "HEAD" else name
        meanings = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        for meaning in [*meanings, *([name] if SHORT_ID.fullmatch(name) else [])]:
            with contextlib.suppress(Failed):
                return git.ask(self._command("rev-parse", "--verify", "--quiet", f"{meaning}^{{commit}}"))[0]
        return None

    def _log(self, tip: str, limit: int | None = None, *others: str) -> Iterator[Commit]:
        words = ("log", "-z", "--first-parent", "--encoding=UTF-8", FORMAT)
        bound = () if limit is None else (f"--max-count={limit}",)
        records = git.answers(self._command(*words, *bound, tip, *others, "--", *self._paths))
        try:
            yield from map(_commit, records)
        except Failed as failed:
            raise SourceError(f"{self}: its history cannot be read: {failed.finished.output[-600:]}") from None

    def _read(self, commit: str) -> Commit:
        words = ("log", "-z", "-1", "--encoding=UTF-8", FORMAT, commit, "--")
        return _commit(next(git.answers(self._command(*words))))

    def _enclosing(self, root: Path) -> str:
        """Where in its repository `root` lies, "" at its top; and the address becomes that of the repository."""
        words = ("git", "-C", str(root), "rev-parse", "--path-format=absolute", "--git-common-dir", "--show-prefix")
        try:
            folder, *prefix = git.ask(Command(words, self._access))
        except Failed as failed:
            if "dubious ownership" in failed.finished.output:
                raise refusal(self._address, failed.finished) from None
            raise SourceError(
                f"{root} is in no git repository, and source.repository is '.': run 'git init' there and commit"
            ) from None
        self._address = Address(folder)
        return prefix[0] if prefix else ""

    def _there_is(self) -> str:
        listed = git.ask(self._command("for-each-ref", "--count=21", "--format=%(refname:short)", "refs/heads"))
        return (
            f"branches: {', '.join(listed[:20])}{' …' * (len(listed) > 20)}" if listed else "it is empty: commit first"
        )

    def _says(self) -> str:
        return ", ".join(self._paths) or "all"


def _commit(record: bytes) -> Commit:
    words = [re.sub(r"[\x00-\x1f\x7f]", "", word).strip() for word in record.decode(errors="replace").split("\n")]
    identity, seconds, author, email, subject = [*words, "", "", ""][:5]
    try:
        time = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):  # a committer may write any number
        time = datetime.fromtimestamp(0, UTC)
    return Commit(identity, author, email, subject, time)


def _shown(path: str) -> str:
    """A path for people: git takes any bytes for one, those that move a terminal's cursor too."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", os.fsencode(path).decode(errors="replace"))
