# Every target does its own set-up. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-dev
RUN_STAMP := $(VENV)/.stamp-run
WORKERS ?= 4
SECONDS ?= 60
# Where the tests' files are in memory, if there are 2 GB of it: their stores wait for the disk
# at every write, and no test pulls the plug
MEMORY := $(shell [ -w /dev/shm ] && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 2000000 {print $$6}')
ATHERIS := atheris==3.0.0
BROWSERS := chromium chromium-browser google-chrome
BROWSER_SHELL := chromium-headless-shell
# Prometheus, its promtool and the Alertmanager, unpacked from Debian's packages: nothing is started
PROMETHEUS := $(VENV)/prometheus
# What checks the deployment: many packages with pins of their own, so apart from ours
CHECKS := $(VENV)/checks

.PHONY: help run test browser prometheus deploy-check soak fuzz check bench format docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMP): requirements-dev.lock $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

run: $(RUN_STAMP) ## Start all five services with a demo workspace on http://127.0.0.1:8080
	@$(BIN)/relaydesk up --demo

test: $(STAMP) browser prometheus ## Run the test suite
	@$(BIN)/python -m compileall -q -j 2 libs services tests # once, and not by each worker
	@TMPDIR="$${TMPDIR:-$(MEMORY)}" $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

browser: ## Install Chromium for the console's tests, as root on Debian; else say what to install
	@found() { for name in "$$@"; do command -v $$name >/dev/null && return; done; return 1; }; \
	found $(BROWSERS) && found $(BROWSER_SHELL) && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; \
	  install="apt-get -qq install --yes --no-install-recommends"; \
	  found $(BROWSERS) || $$install chromium >/dev/null; \
	  $$install $(BROWSER_SHELL) >/dev/null 2>&1 || true; \
	fi; \
	found $(BROWSERS) || echo "The console's tests need a browser: install one of $(BROWSERS)." >&2

prometheus: ## Fetch Prometheus for the tests of its rules, as root on Debian; else say what to install
	@command -v promtool >/dev/null && command -v prometheus >/dev/null && exit 0; [ -x $(PROMETHEUS)/usr/bin/promtool ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get -qq update; mkdir -p $(PROMETHEUS)/packages && cd $(PROMETHEUS)/packages && \
	  apt-get -qq -o APT::Sandbox::User=root download prometheus prometheus-alertmanager && \
	  for package in *.deb; do dpkg-deb -x $$package ..; done; \
	  exit 0; \
	fi; \
	echo "The tests of the alerting rules need prometheus and promtool: install Prometheus." >&2

deploy-check: $(STAMP) $(CHECKS)/.stamp prometheus ## Check all that is shipped to run it: manifests, image, compose, rules, dashboards
	@PATH="$(CURDIR)/$(BIN):$(CURDIR)/$(CHECKS)/bin:$$PATH:$(CURDIR)/$(PROMETHEUS)/usr/bin" deploy/check.sh

$(CHECKS)/.stamp: deploy/checks.lock
	$(PYTHON) -m venv $(CHECKS)
	$(CHECKS)/bin/python -m pip install --quiet --require-hashes -r deploy/checks.lock
	@touch $@

soak: $(STAMP) ## Run the long tests with many times as many timers, ends, races (half an hour)
	@RELAYDESK_SOAK=1 $(BIN)/python -m pytest $$(grep -rlE --include='test_*.py' 'tests\.soak' tests) $(ARGS)

fuzz: $(STAMP) ## Fuzz WeChat's XML and AES code, SECONDS a target (60); needs an atheris wheel
	@$(BIN)/python -m pip install --quiet --only-binary :all: "$(ATHERIS)"
	@corpus=$$(mktemp -d) && for target in xml aes parse; do \
	  $(BIN)/python -m tests.fuzz.wechat $$target -max_total_time=$(SECONDS) -max_len=4096 -timeout=5 \
	    -print_final_stats=1 -verbosity=0 -artifact_prefix=$$corpus/ \
	    $$corpus tests/channels/wechat/fixtures || { echo "see $$corpus"; exit 1; }; \
	done && rm -r $$corpus

check: $(STAMP) ## Formatter, linter, type checker, import contracts, spelling, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(STAMP) ## Format and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## Measure speed, as ratios within one run
	@$(BIN)/python -m bench $(ARGS)

docs: $(STAMP) ## Write the generated documents again (OpenAPI, AsyncAPI, configuration, metrics, dashboards)
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m deploy.grafana # the dashboards
	@$(BIN)/python -m deploy.k8s.generate # the alerting rules, for the Prometheus operator

lock: $(BIN)/python ## Resolve the lock files again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra embedded --extra tracing --group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra embedded --extra tracing --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links deploy/checks.in -o deploy/checks.lock

clean: ## Remove the virtual environment and caches; demo data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
