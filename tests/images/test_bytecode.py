import os
import subprocess
import sys
from pathlib import Path

from tandem.images import bytecode

MODULES = {
    "tool/__init__.py": "from tool.deep import names\nNAME = 'tool'\n",
    "tool/deep.py": "names = frozenset({'b', 'a', 'NAME', 'tool'})\ndef fail(NAME='x'):\n    raise OSError(NAME)\n",
    "tool/other.py": "NAME = 'tool'\nnames = ('tool', 'deep', 'deep', 'tool')\n",
    "tool/signs.py": "SIGNS = ('?', '%')\n",
    "tool/two.py": "print 'for python 2'\n",
    "café.py": "'é'\n",
}


def written(folder: Path, parts: int = 0, seed: str = "0") -> dict[str, bytes]:
    """The byte code of MODULES, compiled by so many processes under this hash seed; by this very one for 0."""
    for name, text in MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if not parts:
        bytecode.compile_tree(folder)
    for part in range(parts):
        argv = [sys.executable, bytecode.__file__, str(folder), str(part), str(parts)]
        subprocess.run(argv, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.pyc")}


def test_byte_code_is_the_same_whichever_process_compiled_what(tmp_path: Path) -> None:
    one, many = written(tmp_path / "one", 1, "1"), written(tmp_path / "elsewhere", 3, "2")
    kept = sys.intern("?")  # which leaves a trace in marshal's newer formats
    here = written(tmp_path / kept)
    assert one == many == here
    assert len(one) == len(MODULES) - 1  # what is not for this Python is left as it is, as pip does


def test_byte_code_is_taken_unseen_and_names_the_file_where_it_now_lies(tmp_path: Path) -> None:
    written(tmp_path / "site")
    moved = (tmp_path / "site").rename(tmp_path / "moved")
    (moved / "tool" / "deep.py").write_text("names = 'the source was read'\n")
    lines = ("import tool, traceback", "print(sorted(tool.names))", "try: tool.deep.fail()")
    code = "\n".join((*lines, "except OSError: traceback.print_exc()"))
    done = subprocess.run([sys.executable, "-c", code], cwd=moved, capture_output=True, text=True, check=True)
    assert done.stdout == "['NAME', 'a', 'b', 'tool']\n"
    assert f'File "{moved}/tool/deep.py", line 3, in fail' in done.stderr
