# `make demo` shows the whole line on this machine; `make test` is what every change must pass.
PYTHON ?= python3
unexport PYTHONDONTWRITEBYTECODE   # without .pyc files each command takes seconds to start
LOCK = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: demo stop test check cluster cluster-down lock docs clean

demo: .venv/tandem.installed  ## from a clone to an answered digit
	@sh scripts/demo.sh

stop:  ## end everything that the demo left running
	@if [ -x .venv/bin/tandem ]; then .venv/bin/tandem down --everything; else echo "nothing runs"; fi

test: check  ## everything that must pass
	.venv/bin/pytest -n 2

check: .venv/dev.installed  ## style, types, the arrows between packages
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

cluster:  ## a real Kubernetes on this machine, as the tests use it (Linux, root): docs/kubernetes-cluster.md
	@tests/cluster/up

cluster-down:  ## end it, and remove what it left
	@tests/cluster/down

.venv/tandem.installed: requirements/tandem.txt pyproject.toml
	@sh scripts/need.sh $(PYTHON)
	@echo "── Install what Tandem needs into .venv (once)"
	@[ -x .venv/bin/pip ] || $(PYTHON) -m venv .venv
	@sh scripts/install.sh .venv requirements/tandem.txt
	@.venv/bin/pip --disable-pip-version-check --quiet install --no-deps --editable .
	@touch $@

.venv/dev.installed: requirements/dev.txt pyproject.toml
	@sh scripts/need.sh $(PYTHON)
	@[ -x .venv/bin/pip ] || $(PYTHON) -m venv .venv
	@sh scripts/install.sh .venv requirements/dev.txt
	@.venv/bin/pip --disable-pip-version-check --quiet install --no-deps --editable .
	@touch .venv/tandem.installed $@

lock: .venv/bin/uv  ## the newest versions that fit, into every locked file
	$(LOCK) --upgrade pyproject.toml -o requirements/tandem.txt
	$(LOCK) --upgrade pyproject.toml --extra dev -o requirements/dev.txt
	$(LOCK) --upgrade pyproject.toml --extra server -o requirements/server.txt
	for file in app/*requirements.in; do $(LOCK) --upgrade $$file -o $${file%.in}.txt; done

.venv/bin/uv: .venv/dev.installed
	@[ -x $@ ] || .venv/bin/pip --quiet install --no-deps --require-hashes -r requirements/uv.txt

docs: .venv/tandem.installed  ## the reference that is generated from the code
	.venv/bin/python scripts/commands_md.py > docs/commands.md

clean: stop  ## back to a fresh clone
	rm -rf .venv .tandem *.egg-info build dist .mypy_cache .ruff_cache .pytest_cache
