# The front door. Each command installs what it needs by itself: Python packages in .venv, Node's in node_modules.
PYTHON ?= python3
STAGE ?= dev
WORKERS ?= auto
SLS := npx --no-install sls
READY := .venv/ready node_modules/ready
# With bytecode, even if it is turned off: without, each process compiles all modules and rewrites all tests again.
PYTEST := PYTHONDONTWRITEBYTECODE= .venv/bin/pytest
# As it was given: make would take a $ in a file's name for a variable of its own.
override FILES := $(value FILES)
export FILES
# A test that hangs within libvips hears no signal: after 10 minutes its process ends and prints the stack, and another one goes on.
HANGING := -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
# Whatever a command installs, it installs in parallel.
MAKEFLAGS += --jobs=4

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## install everything

.PHONY: run
run: $(READY) ## show it at work, without an AWS account; FILES="a.jpg 'my photo.heic'" for your own images
	@eval "set -- $${FILES:-}" && exec .venv/bin/image-scaler run "$$@"

.PHONY: play
play: $(READY) ## see the renditions of the samples in a browser, and tune renditions.toml; FILES="a.jpg 'my photo.heic'"
	@eval "set -- $${FILES:-samples}" && exec .venv/bin/image-scaler play "$$@"

.PHONY: demo
demo: $(READY) ## upload photos in a page, and see them there; needs no AWS account
	@.venv/bin/image-scaler demo

.PHONY: up
up: $(READY) ## start a local AWS with the stack in it, and keep it running
	@.venv/bin/image-scaler up

.PHONY: down
down: $(READY) ## stop it
	@.venv/bin/image-scaler down

.PHONY: check
check: $(READY) lint ## run the linters and the quick tests
	@$(PYTEST) --numprocesses $(WORKERS) --dist worksteal -m "not (aws or browser or packaging or slow)"

.PHONY: test
test: $(READY) .venv-audit/ready .venv-oldest/ready lint ## run the linters and all tests
	@$(PYTEST) --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder $(HANGING)

.PHONY: lint
lint: .venv/ready
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

.PHONY: load
load: $(READY) ## send 2,000 uploads through the local AWS, and account for every one; N=2000 PARAMS="--param=buffer=sqs"
	@.venv/bin/python -m tests.properties.load --uploads $(or $(N),2000) $(PARAMS)

.PHONY: audit
audit: $(READY) .venv-audit/ready ## ask the registries for known vulnerabilities of what is pinned
	@.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.txt -r requirements/dev.txt
	@npm audit

.PHONY: fuzz
fuzz: $(READY) ## feed damaged images to the engine; CASES=20000 SEED=1
	@.venv/bin/python -m tests.properties.fuzz --cases $(or $(CASES),20000) --seed $(or $(SEED),1)

.PHONY: bench
bench: .venv/ready ## compare it with sharp; writes bench/RESULTS.md
	@.venv/bin/python -m bench

COMPILE := .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header
.PHONY: lock
lock: .venv/ready ## lock the Python packages again, after a change to requirements/*.in
	@$(COMPILE) --universal requirements/function.in -o requirements.txt
	@cat requirements/header.txt requirements.txt >.venv/requirements.txt && mv .venv/requirements.txt requirements.txt
	@$(COMPILE) --universal requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) --universal requirements/audit.in -o requirements/audit.txt
	@$(COMPILE) --no-deps requirements/oldest.in -o requirements/oldest.txt

.PHONY: format
format: $(READY) ## format the code, and fix what the linter can
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

.PHONY: deploy
deploy: $(READY) ## deploy to AWS; STAGE=dev by default, PARAMS="--param=memorySize=3538" for parameters
	@.venv/bin/image-scaler check --credentials --stage "$(STAGE)" $(PARAMS)
	@$(SLS) deploy --stage "$(STAGE)" $(PARAMS)

.PHONY: smoke
smoke: $(READY) ## try the deployed stack with a few uploads, and delete them again; STAGE=dev by default
	@.venv/bin/image-scaler smoke --stage "$(STAGE)"

.PHONY: remove
remove: $(READY) ## remove the stack from AWS; STAGE=dev by default
	@.venv/bin/image-scaler remove --stage "$(STAGE)" $(PARAMS)

.venv/ready: requirements/dev.txt pyproject.toml
	@echo "Installing the Python packages into .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version)'
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@awk '/^[^ ]/ {wanted = /^uv==/} wanted' requirements/dev.txt >.venv/uv.txt
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR=/nonexistent .venv/bin/uv pip install --quiet --require-hashes -r requirements/dev.txt
	@.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-audit/ready: requirements/audit.txt .venv/ready
	@echo "Installing what audits the stack into .venv-audit ..."
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@.venv/bin/uv pip install --quiet --python .venv-audit/bin/python --require-hashes -r requirements/audit.txt
	@touch $@

.venv-oldest/ready: requirements/oldest.txt .venv/ready
	@echo "Installing the oldest supported boto3 into .venv-oldest ..."
	@.venv/bin/uv pip install --quiet --target .venv-oldest --no-deps --require-hashes -r requirements/oldest.txt
	@touch $@

node_modules/ready: package.json package-lock.json
	@echo "Installing the Node.js packages into node_modules ..."
	@npm ci --silent
	@touch $@
