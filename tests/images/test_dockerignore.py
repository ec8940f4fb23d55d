import pytest

from tandem.errors import BuildFailed
from tandem.images.dockerignore import parse


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        # Docker's reference, ".dockerignore file"
        ("# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/temporary.txt", True),
        ("*/temp*", "somedir/temp/deep/file", True),
        ("*/*/temp*", "somedir/subdir/temporary.txt", True),
        ("*/*/temp*", "somedir/temporary.txt", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("temp?", "somedir/tempa", False),
        ("**/*.go", "main.go", True),
        ("**/*.go", "a/b/main.go", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "CHANGES.md", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-public.md", False),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("/foo/bar", "foo/bar", True),
        ("foo/bar", "foo/bar", True),
        ("/foo/bar", "x/foo/bar", False),
        # order, and folders above
        ("app\n!app/main.py", "app/main.py", False),
        ("app\n!app/main.py", "app/other.py", True),
        ("!app/main.py\napp", "app/main.py", True),
        ("**\n!util/docker/web", "util/docker/web/foo", False),
        ("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", True),
        ("**\n!dist/*.whl", "dist/p-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", False),
        ("docs/", "docs/a/b", True),
        ("./docs", "docs/a", True),
        ("docs/../src", "src/a", True),
        ("//docs", "docs/a", True),
        ("bar", "foo/bar", False),
        # the table of moby's patternmatcher
        ("**", "file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("**/dir", "dir/file", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir2/file", True),
        ("**file", "file", True),
        ("**file", "dir/dir/myfile", True),
        ("**/file", "dir/myfile", False),
        ("**file*.txt", "dir/file.txt", True),
        ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b-d]e", "aze", True),
        (".*", "foo", False),
        (".*", ".foo", True),
        ("abc.def", "abcZdef", False),
        ("a\\*b", "a*b", True),
        ("a\\\\", "a\\", True),
        ("abc/**", "abc", False),
        ("abc/**", "abc/def/ghi", True),
        ("**/.foo", "bar.foo", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("a*b", "a/b", False),
        ("a?b", "a☺b", True),
        ("a???b", "a☺b", False),
        # reading the file
        ("\ufefffoo", "foo", True),
        ("  foo  ", "foo", True),
        ("#foo", "#foo", False),
        (" #foo", "#foo", True),
        ("foo\n! foo", "foo", False),
        ("\n\n", "foo", False),
    ],
)
def test_a_path_is_excluded_as_docker_does(patterns: str, path: str, excluded: bool) -> None:
    assert parse(patterns).excludes(path) is excluded


@pytest.mark.parametrize("pattern", ["!", "a[", "[b-a]", "a\\"])
def test_what_docker_refuses_is_refused_with_its_line(pattern: str) -> None:
    with pytest.raises(BuildFailed, match="line 2"):
        parse(f"fine\n{pattern}\n")
