# The same verbs everywhere: `make up` runs the platform, `make test` is what CI runs, nothing more.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
export UV_PYTHON_DOWNLOADS := never

DATA ?= .towpath
PORT ?= 8080

.PHONY: help
help: ## Show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: setup
setup: ## Install and build what is needed, and nothing else
	@python3 tools/setup.py

.PHONY: up
up: setup ## Install, build and run the platform; Ctrl-C drains and stops
	@exec .venv/bin/towpath up --data $(DATA) --port $(PORT)

.PHONY: test
test: ## Run every check and test, on both databases, against the real model servers
	@python3 tools/setup.py --testing
	@$(PY) tools/test.py

.PHONY: lint
lint: setup ## Run the fast checks: lint, types, imports, sizes, generated files
	@$(PY) tools/test.py --only lint

.PHONY: fmt
fmt: ## Format everything
	@.venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix-only . && cargo fmt

.PHONY: gen
gen: setup ## Rewrite every generated file
	@$(PY) tools/gen.py

.PHONY: docs
docs: gen ## Rewrite the reference and check every link and example of the docs
	@$(PY) -m pytest -q tools/tests/test_docs.py

.PHONY: lock
lock: ## Resolve the Python lock file anew
	@$(PY) tools/lock.py

.PHONY: bench
bench: ## Measure the gateway beside nginx; results go to bench/results/
	@python3 tools/setup.py --testing --measuring
	@$(PY) bench/run.py

.PHONY: bench-peers
bench-peers: ## Measure other gateways the same way; results go to bench/results/
	@python3 tools/setup.py --testing --measuring
	@$(PY) bench/peers.py

.PHONY: bench-artifacts
bench-artifacts: ## Move a large file to a bucket and back, beside rclone
	@python3 tools/setup.py --testing --measuring
	@$(PY) bench/artifacts.py

.PHONY: bench-deployments
bench-deployments: ## Time a deployment until it is Ready, and what 500 of them cost
	@python3 tools/setup.py --testing
	@$(PY) bench/deploying.py
	@$(PY) bench/deployments.py

.PHONY: bench-waking
bench-waking: ## Time how long a sleeping model keeps its first caller waiting
	@python3 tools/setup.py --testing
	@$(PY) bench/waking.py

.PHONY: bench-surge
bench-surge: ## Draw what a load that rises tenfold in two seconds does, beside Ray Serve
	@python3 tools/setup.py --testing
	@$(PY) bench/surge.py

.PHONY: profile
profile: ## Count what a call costs the gateway in instructions and allocations
	@python3 tools/setup.py --testing --measuring
	@$(PY) bench/instructions.py

.PHONY: soak
soak: ## Keep the gateway under full load for 30 minutes and watch its memory
	@python3 tools/setup.py --testing --measuring
	@$(PY) bench/soak.py

.PHONY: storm
storm: ## Run the fault tests at full numbers; results go to bench/results/
	@python3 tools/setup.py --testing
	@$(PY) tools/storm.py

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes, guided by coverage, 60 s each
	@$(PY) tools/fuzz.py

.PHONY: audit
audit: ## Check dependencies for known vulnerabilities and licences
	@python3 tools/setup.py
	@$(PY) tools/audit.py

.PHONY: clean
clean: ## Remove what was built, keep the data folder
	@rm -rf .build .venv target
