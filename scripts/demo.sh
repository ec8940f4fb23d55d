#!/bin/sh
# From a fresh clone to a digit that the released app has read. Every step leaves alone what is done already.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" TANDEM_ROOT="$PWD"
demo=.tandem/demo
mkdir -p $demo
step() { printf '\n── %s\n' "$*"; }

step "Prefect's server and a worker (in the background; the log is $demo/up.log)"
tandem up >$demo/up.log 2>&1 &
up=$!

step "Train the sample model"
if [ ! -e $demo/trained ] || [ app/train.py -nt $demo/trained ] || [ app/train-requirements.txt -nt $demo/trained ]; then
    [ -x .tandem/venvs/train/bin/pip ] || python -m venv .tandem/venvs/train
    sh scripts/install.sh .tandem/venvs/train app/train-requirements.txt
    .tandem/venvs/train/bin/python app/train.py $demo/model --sample $demo/digit.png
    touch $demo/trained
else
    echo "$demo/model is trained already"
fi

step "Wait for the server"
wait $up || { cat $demo/up.log; exit 1; }
cat $demo/up.log

step "Publish the model"
if [ ! -e $demo/published ] || [ $demo/trained -nt $demo/published ]; then
    tandem publish digits $demo/model
    touch $demo/published
else
    echo "published already"
fi

step "Integrate: this commit and that model become one tested image"
tandem integrate digits

step "Release it to this machine"
tandem release digits local

step "Ask the app which digit this is"
python scripts/ask.py digits local $demo/digit.png
