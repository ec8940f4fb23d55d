#!/bin/sh
# Say first what this machine lacks, and how to get it: need.sh PYTHON
python=$1 lacking=0
lack() { echo "✗ $1" >&2; lacking=1; }

command -v git >/dev/null || lack "git is not installed: 'apt install git' on Debian, 'xcode-select --install' on macOS"
if ! command -v "$python" >/dev/null; then
    lack "$python is not installed: install Python 3.11 or newer, or name one: make demo PYTHON=/path/to/python3"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    lack "$("$python" -V) is too old: install Python 3.11 or newer, or name one: make demo PYTHON=python3.12"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    lack "$python cannot make virtual environments: 'apt install python3-venv' on Debian"
fi
exit $lacking
