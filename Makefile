# make demo: try everything on made-up data.  make test: the tests.  make lint: style and types.
# make docs: write the pages that are made from the code, and build all of them into build/site.
# make gpu-check: the tests that need a GPU, then the speed of training on it, as JSON; installs nothing.
# On a fresh machine each other makes .venv first; PYTHON chooses the interpreter (3.11 for the pinned versions).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_DATA := data/demo
DEMO_RUN := work_dirs/demo
DEMO_CONFIG := configs/rucaim3/transformer_demo.py
# Three processes share the tests, since some wait for others; one thread each, or they slow one another down.
TEST_ARGS ?= -n 3 --dist worksteal

.PHONY: venv test lint docs demo gpu-check clean

venv: $(VENV)/.test

$(VENV)/.demo: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[report]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(DEMO_DATA): | $(VENV)/.demo
	$(BIN)/python tools/make_demo_data.py $@

demo: $(VENV)/.demo | $(DEMO_DATA)
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --data-root $(DEMO_DATA) --work-dir $(DEMO_RUN) --resume
	$(BIN)/python tools/test.py $(DEMO_RUN)
	$(BIN)/python tools/report.py $(DEMO_RUN)
	@echo
	@echo 'data                    $(DEMO_DATA)'
	@echo 'the run                 $(DEMO_RUN) (what is in it: work_dirs/README.md)'
	@echo 'figures of every epoch  $(DEMO_RUN)/metrics.csv'
	@echo 'predictions             $(DEMO_RUN)/predictions'
	@echo 'page, for a browser     $(DEMO_RUN)/report.html'

# The .venv if there is one, else a Python that has PyTorch with CUDA and the packages of setup.py, extra test included.
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
GPU_JSON := build/gpu_check.json

gpu-check:
	mkdir -p build
	PYTHONPATH=. HF_HUB_OFFLINE=1 $(GPU_PYTHON) -m pytest -q -m gpu -W default tests/gpu tests/engine/test_optim.py
	PYTHONPATH=. HF_HUB_OFFLINE=1 $(GPU_PYTHON) tools/benchmark.py gpu --rounds 3 --json $(GPU_JSON)
	cat $(GPU_JSON)

clean:
	rm -rf $(VENV) $(DEMO_DATA) $(DEMO_RUN) build abawfw.egg-info
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
