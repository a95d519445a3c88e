# The front door. Each command installs what it needs by itself: Python packages in .venv, Node's in node_modules.
PYTHON ?= python3
STAGE ?= dev
SLS := NODE_NO_WARNINGS=1 npx --no-install sls

.PHONY: setup
setup: .venv/ready node_modules/ready ## install everything

.venv/ready: requirements-dev.txt pyproject.toml
	@echo "Installing the Python packages into .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version)'
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@awk '/^[^ ]/ {wanted = /^uv==/} wanted' requirements-dev.txt >.venv/uv.txt
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR=/nonexistent .venv/bin/uv pip install --quiet --require-hashes -r requirements-dev.txt
	@.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/ready: package.json package-lock.json
	@echo "Installing the Serverless Framework into node_modules ..."
	@npm ci --silent
	@touch $@
