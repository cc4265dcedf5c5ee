# One door for people and for continuous integration. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
SORTER ?= kilosort4
ARGS ?=
# What builds images (docker, podman or buildah), what their names begin with, and their tag.
ENGINE ?= docker
REGISTRY ?=
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGES := $(patsubst images/%.Dockerfile,%,$(wildcard images/*.Dockerfile))
# What test-cluster runs beside the chart; each takes the variables and arguments of these.
S3_IMAGE ?= versity/versitygw:latest
S3_KEY ?= spikefleet
POSTGRES_IMAGE ?= postgres:17
RESTART_API ?=
# More than the cores of a small machine: tests that start services wait much.
JOBS ?= 3

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.stubs-made
# Pinned by hand: constraints cannot name a local build (+cpu, +cu130), so torch goes in first.
TORCH := torch==2.13.0
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PROTOS := $(shell find protos -name '*.proto')

.PHONY: help venv demo serve test test-slow test-kills test-simulation test-cluster check chart images kind-up bench protos clean $(IMAGES:%=image-%)

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

venv: $(READY) ## Make .venv with everything installed (done again only when its inputs change)

$(INSTALLED): pyproject.toml hatch_build.py images/constraints/embedded.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || scripts/install-debian venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet "pip>=25"
	$(PIP) install "$(TORCH)"
	$(PIP) install -e ".[embedded,dev]" -c images/constraints/embedded.txt
	@touch $@

# Apart from the installation: an edited proto costs a second, not a reinstallation.
$(READY): $(INSTALLED) hatch_build.py $(PROTOS)
	$(BIN)/python hatch_build.py
	@touch $@

protos: $(INSTALLED) ## Generate the gRPC stubs again
	$(BIN)/python hatch_build.py

demo: $(READY) ## Sort a recording with known spikes, end to end (SORTER=kilosort4)
	$(BIN)/spikefleet demo --sorter $(SORTER) --out demo

serve: $(READY) ## Start the service on this machine (ARGS="--address 127.0.0.1:7433")
	$(BIN)/spikefleet serve $(ARGS)

test-kills: $(READY) ## Kill rig, service and bucket 200 times while recordings are uploaded (15 minutes)
	KILLS=200 $(BIN)/python -m pytest -m slow -n 0 tests/integration/test_direct_upload_kills.py $(ARGS)

test-simulation: $(READY) ## Play 10 000 schedules of 50 runs against the real controller (hours; ARGS="--schedules 200 --seed 7")
	$(BIN)/python -m tests.simulation --jobs $(JOBS) $(ARGS)

check: $(READY) ## Format, lint, protos, storeys, types: everything that needs no test run
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd protos && ../$(BIN)/buf lint
	scripts/check-protos $(BIN)/buf
	$(BIN)/lint-imports
	$(BIN)/mypy

test: $(READY) ## Run every test (ARGS="tests/unit -k name" for some)
	@scripts/install-debian test
	@scripts/install-helm $(BIN)
	@scripts/install-prometheus $(BIN)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(READY) ## Run the accuracy bars on the larger recordings and the whole fuzz of the readers
	@scripts/install-debian test
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 1200 $(ARGS)

test-cluster: $(READY) ## Install the chart in a cluster and let it sort, die and recover (KUBECONFIG=FILE REGISTRY=host/path/ TAG=v1)
	@test -n "$(KUBECONFIG)" || { echo "KUBECONFIG=FILE names the cluster; docs/operations/test-cluster.md"; exit 2; }
	@scripts/install-helm $(BIN)
	@test "$(IMAGES)" = present || { $(MAKE) image-rooms image-cpu-sorters && $(ENGINE) push $(REGISTRY)spikefleet-rooms:$(TAG) && $(ENGINE) push $(REGISTRY)spikefleet-cpu-sorters:$(TAG); }
	TEST_CLUSTER_KUBECONFIG="$(KUBECONFIG)" TEST_CLUSTER_REGISTRY="$(REGISTRY)" TEST_CLUSTER_TAG="$(TAG)" \
	  TEST_CLUSTER_IMAGES="$(filter present,$(IMAGES))" TEST_CLUSTER_RESTART_API="$(RESTART_API)" \
	  TEST_CLUSTER_S3_IMAGE="$(S3_IMAGE)" TEST_CLUSTER_S3_KEY="$(S3_KEY)" TEST_CLUSTER_POSTGRES_IMAGE="$(POSTGRES_IMAGE)" \
	  $(BIN)/python -m pytest -n 0 tests/cluster --timeout 600 $(ARGS)

chart: $(READY) ## Render and lint the chart, try its alerts (fetches helm and prometheus once, 56 MB)
	@scripts/install-helm $(BIN)
	@scripts/install-prometheus $(BIN)
	$(BIN)/helm lint --strict charts/spikefleet
	$(BIN)/python -m pytest tests/house -k 'chart or deploy_files or monitoring' $(ARGS)

images: $(IMAGES:%=image-%) ## Build every image (ENGINE=podman REGISTRY=host/path/ TAG=v1)

$(IMAGES:%=image-%): image-%:
	$(ENGINE) build -f images/$*.Dockerfile -t $(REGISTRY)spikefleet-$*:$(TAG) .

kind-up: ## Make a kind cluster with the images for CPUs in it; then: skaffold run -p cpu
	@command -v kind >/dev/null || { echo "kind is needed, and a container engine for it"; exit 1; }
	kind get clusters | grep -qx spikefleet || kind create cluster --name spikefleet
	$(MAKE) image-rooms image-cpu-sorters
	kind load docker-image --name spikefleet $(REGISTRY)spikefleet-rooms:$(TAG) $(REGISTRY)spikefleet-cpu-sorters:$(TAG)

bench: $(READY) ## Measure the runner's overhead and the control plane's import time
	$(BIN)/python -m bench.run $(ARGS)

clean: ## Remove what the targets above made, the environment included
	rm -rf $(VENV) demo build dist bench/results .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find services tests bench -name __pycache__ -prune -exec rm -rf {} +
