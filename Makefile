# The commands of a contributor and of the demo. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= /usr/bin/python3.11
BIN := .venv/bin
VENV := .venv/.complete
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Everything here is private to the user who runs it.
umask := umask 077;

.PHONY: help
help: ## List the targets
	@echo 'See it run, as root:  make demo'
	@echo 'On a laptop:          make setup model, then .venv/bin/b3iq serve'
	@echo 'Before a commit:      make lint types unit contract'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set up --------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV) ## Install what building and running need (Debian packages, .venv)

$(VENV): app/packages.txt app/locks/dev.txt app/pyproject.toml app/locks/install-packages
	@app/locks/install-packages app/packages.txt
	@echo 'Installing the Python environment from app/locks/dev.txt (about a minute)'
	@$(PYTHON) -m venv --clear .venv
	@# The lock is complete; pip would ask for a hash of `pydantic[email]`, which has none of its own.
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r app/locks/dev.txt \
	  || { echo 'pip could not install the lock. If it finds no torch==2.13.0+cpu, set'; \
	       echo 'PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu and run this again.'; exit 1; } >&2
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e app
	@touch $(VENV)

.PHONY: setup-lab setup-browser
setup-lab: $(VENV)
	@app/locks/install-packages tests/lab/packages.txt
setup-browser: $(VENV)
	@app/locks/install-packages tests/browser/packages.txt

.PHONY: model
model: $(VENV) ## Make the embedded model b3iq-smoke, or take it from its cache
	@$(BIN)/python -m release.smoke_model --output build/models/b3iq-smoke

.PHONY: release
release: model ## Build a release and sign it with throwaway keys into build/release
	@$(BIN)/python -m release demo --output build/release

# --- the demo: a throwaway host, installed as an operator would ------------------------------

.PHONY: demo demo-down demo-env demo-shell
demo: setup-lab model ## Install a throwaway host and get a streamed answer from it
	@$(BIN)/python -m tests.lab.demo up
demo-down: ## Destroy the demo's host
	@$(BIN)/python -m tests.lab.demo down
demo-env: ## Print the demo's B3IQ_... variables as shell assignments
	@$(BIN)/python -m tests.lab.demo env
demo-shell: ## Open a root shell on the demo's host, or run CMD='...' there
	@$(BIN)/python -m tests.lab.demo shell $(if $(CMD),-- '$(subst ','\'',$(CMD))')

# --- the gate, fastest check first -----------------------------------------------------------

.PHONY: test
test: lint types contract unit integration browser molecule ## Run the whole gate

.PHONY: lint types contract unit integration browser molecule
lint: $(VENV) ## Ruff, yamllint, ansible-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline
types: $(VENV) ## mypy --strict
	$(BIN)/mypy
contract: $(VENV) ## Conventions that are tests
	$(BIN)/pytest tests/contract
unit: $(VENV) ## Unit tests
	$(BIN)/pytest tests/unit tests/attacks
integration: model ## Real node and engine processes, the official OpenAI SDK
	$(BIN)/pytest tests/integration
browser: model setup-browser ## From the setup URL to a working key, in Chromium
	$(BIN)/pytest tests/browser
molecule: setup-lab model ## Install, verify and uninstall a real systemd host
	@$(BIN)/python -m release demo --output build/release
	$(BIN)/python -m tests.lab guard -- $(BIN)/molecule test --all

# --- measurements ----------------------------------------------------------------------------

.PHONY: bench soak
bench: model ## Whole path against the bare engine loop, as ratios of one run
	@$(BIN)/python -m tests.bench
soak: $(VENV) ## The boundary tried many times over: routes, races, fuzz, tokens
	@$(BIN)/python -m tests.soak
