# `make demo` is a first tour, `make test` runs all tests.
PYTHON ?= python3
BIN := .venv/bin
# What the tests start for real; the rest comes from PyPI.
DEBIAN := redis-server postgresql zookeeper default-jre-headless openssl procps util-linux vim-tiny \
	less logrotate strace chromium fonts-dejavu-core cron systemd curl haproxy prometheus \
	rabbitmq-server

.PHONY: demo test test-real quick lint bench docs clean

demo: .venv/ready
	@sh scripts/demo.sh

test: .venv/ready-dev
	@sh scripts/debian.sh $(DEBIAN)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Against a real Healthchecks server; says which HC_REAL_* variables it misses.
test-real: .venv/ready-dev
	@$(BIN)/python -m tests.support.real
	$(BIN)/python -m pytest -m real

quick: .venv/ready-dev
	$(BIN)/python -m pytest -x -q -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

lint: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/ready-dev
	$(BIN)/python -m benchmarks

RENDER := hcctl render --catalog hcrun/checks.toml --hcrun /opt/hcrun/bin/hcrun

# The man pages, docs/hcctl.md, docs/probes.md and the table of docs/settings.md, from the code;
# crontab/ and systemd/ from the shipped catalogue, for an hcrun in /opt/hcrun.
docs: .venv/ready
	$(BIN)/python -m scripts.docs.man_page > docs/hcrun.1
	$(BIN)/python -m scripts.docs.hcctl_pages
	$(BIN)/python -m scripts.docs.probe_pages
	$(BIN)/python -m scripts.docs.settings_page
	$(BIN)/python -m scripts.docs.completion
	$(BIN)/$(RENDER) crontab --output crontab
	$(BIN)/$(RENDER) systemd --output systemd

clean:
	rm -rf .venv

# Byte-compiled at once: imports take about twice as long otherwise, and users cannot write
# compiled files beside those of root.
.venv/ready: pyproject.toml
	@sh scripts/venv.sh $(PYTHON)
	$(BIN)/python -m pip install -q -e '.[all]'
	$(BIN)/python -m compileall -q hcrun probes
	@touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/python -m pip install -q --group dev
	@touch $@
