# `make demo` and `make test` need nothing but python3: they make .venv and install into it,
# again only when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo test test-full check bench bench-middleware bench-fastapi bench-broadcast clean
.DEFAULT_GOAL := help

help:
	@echo "make demo               serve the demo and print its address"
	@echo "make test               run every test"
	@echo "make test-full          run the longest tests at their full length, about an hour"
	@echo "make check              format, lint, types, architecture"
	@echo "make bench              compare with raw ASGI and the peers"
	@echo "make bench-middleware   compare layers of middleware with BaseHTTPMiddleware"
	@echo "make bench-fastapi      compare the adapter with FastAPI, the same programs"
	@echo "make bench-broadcast    compare broadcasts of every size, about an hour"

$(INSTALLED): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	    test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	    uv pip install --quiet --python $(BIN)/python --editable . --group dev; \
	else \
	    test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"; \
	    $(BIN)/python -m pip install --quiet --editable . --group dev; \
	fi
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python -m asgi_rt demo

# Bytecode is kept, away from the sources: the tests start hundreds of processes, each of which
# would compile the package anew.
test test-full: export PYTHONDONTWRITEBYTECODE :=
test test-full: export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
test: $(INSTALLED)
	@$(BIN)/python -m pytest

# The files that know the variable; it makes no difference to any other.
test-full: export ASGI_RT_FULL := 1
test-full: $(INSTALLED)
	@$(BIN)/python -m pytest \
	    tests/feeds/test_frozen_processes.py \
	    tests/middleware/test_layers_processes.py \
	    tests/server/test_streams_processes.py

check: $(INSTALLED)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks

bench-middleware: $(INSTALLED)
	@$(BIN)/python -m benchmarks \
	    middleware-json-inprocess middleware-stream-inprocess \
	    middleware-upload-inprocess middleware-leaving-inprocess middleware-json-uvicorn

bench-fastapi: $(INSTALLED)
	@$(BIN)/python -m benchmarks \
	    fastapi-requests-inprocess fastapi-streams-inprocess fastapi-ws-inprocess \
	    fastapi-json-uvicorn fastapi-sse-uvicorn fastapi-ws-uvicorn fastapi-startup

bench-broadcast: $(INSTALLED)
	@$(BIN)/python -m benchmarks \
	    broadcast-sse broadcast-sse-slices broadcast-sse-cases broadcast-sse-full broadcast-sse-idle-full \
	    broadcast-ws broadcast-ws-slices broadcast-ws-cases broadcast-ws-full broadcast-ws-idle-full

clean:
	rm -rf $(VENV) .ruff_cache .mypy_cache .hypothesis dist
