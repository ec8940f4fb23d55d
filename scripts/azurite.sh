#!/bin/sh
# Azurite, Microsoft's emulator of Blob storage, for the tests: into this user's cache, outside the checkout. Needs npm.
set -eu
folder="${XDG_CACHE_HOME:-$HOME/.cache}/tandem/azurite"
version=3.35.0
if [ ! -x "$folder/node_modules/.bin/azurite-blob" ]; then
    command -v npm >/dev/null || { echo "npm is needed for Azurite: apt-get install npm, or https://nodejs.org" >&2; exit 1; }
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "azurite@$version" >&2
fi
echo "$folder/node_modules/.bin/azurite-blob"
