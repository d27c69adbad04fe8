# `make demo` is a first tour, `make test` runs all tests.
PYTHON ?= python3
BIN := .venv/bin
# What the tests start for real; the rest comes from PyPI.
DEBIAN := redis-server postgresql zookeeper default-jre-headless openssl procps util-linux vim-tiny \
	less logrotate strace chromium fonts-dejavu-core cron systemd curl haproxy prometheus \
	rabbitmq-server zsh
PACKAGING := debhelper dpkg-dev fakeroot python3-venv

.PHONY: demo test test-real test-docker quick lint bench docs install uninstall deb image clean

demo: .venv/ready
	@sh scripts/demo.sh

test: .venv/ready-dev
	@sh scripts/debian.sh $(DEBIAN)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Against a real Healthchecks server; says which HC_REAL_* variables it misses.
test-real: .venv/ready-dev
	@$(BIN)/python -m tests.support.real
	$(BIN)/python -m pytest -m real

# The image in a real Docker engine, and the packages. Where no engine can be started, as without root,
# it says so and skips these tests.
test-docker: .venv/ready-dev
	@[ "$$(id -u)" != 0 ] || sh scripts/debian.sh docker.io debootstrap iproute2 $(PACKAGING) || true
	$(BIN)/python -m pytest -m docker -n 2 --dist loadfile

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

# The man pages, the completion, docs/hcctl.md, docs/probes.md and the table of docs/settings.md,
# from the code; crontab/ and systemd/ from the shipped catalogue, for an hcrun in /opt/hcrun.
docs: .venv/ready
	$(BIN)/python -m scripts.docs.man_page > docs/hcrun.1
	$(BIN)/python -m scripts.docs.hcctl_pages
	$(BIN)/python -m scripts.docs.probe_pages
	$(BIN)/python -m scripts.docs.settings_page
	$(BIN)/python -m scripts.docs.completion
	$(BIN)/$(RENDER) crontab --output crontab
	$(BIN)/$(RENDER) systemd --output systemd

# For all users of this host, and so not with a Python of one user.
install uninstall deb: PYTHON = /usr/bin/python3

install uninstall:
	@$(PYTHON) -I scripts/packaging/install.py $@

deb:
	@sh scripts/debian.sh $(PACKAGING)
	@sh scripts/packaging/deb.sh $(PYTHON)

BASE ?= debian:bookworm-slim
image:
	docker build -t hcrun --build-arg BASE=$(BASE) -f scripts/packaging/Dockerfile .

clean:
	rm -rf .venv dist

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
