#!/bin/sh
# Fill a virtual environment from a locked file: install.sh VENV LOCK
# By uv, which takes a tenth of pip's time; by pip where uv cannot (no wheel of it here, an index it cannot log in to).
# --no-deps: the lock names every package, and older pips stumble over extras in it.
set -eu
venv=$1 lock=$2
pip="$venv/bin/python -m pip --disable-pip-version-check"

told() { # what pip is told by its environment or its files: told INDEX_URL index-url
    eval "value=\${PIP_$1:-}"
    [ -n "$value" ] || value=$($pip config get "global.$2" 2>/dev/null || $pip config get "install.$2" 2>/dev/null || true)
    echo "$value"
}

with_uv() {
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/uv.txt || return 1
    index=$(told INDEX_URL index-url) more=$(told EXTRA_INDEX_URL extra-index-url)
    links=$(told FIND_LINKS find-links) certificates=$(told CERT cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    [ -z "$more" ] || export UV_INDEX="$more" UV_INDEX_STRATEGY=unsafe-best-match
    [ -z "$links" ] || export UV_FIND_LINKS="$(echo $links | tr ' ' ',')"
    [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
    .venv/bin/uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes -r "$lock"
}

with_uv || {
    echo "uv cannot install $lock here: pip does it, more slowly" >&2
    $pip install --quiet --no-deps --require-hashes -r "$lock"
}
