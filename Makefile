.DEFAULT_GOAL := help
.PHONY: help venv bench bench-smoke bench-pytest bench-gpu paper foundation sweep profile capabilities quality engines report test test-all unit test-cuda lint types check format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More flags for the run, e.g. make bench ARGS="--dtype bfloat16"
ARGS ?=
# What a committed report consists of, besides results.json.
PUBLISHED := -f markdown -f html -f png

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

venv: $(STAMP)  ## Create .venv and install, nothing else

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	@$(BIN)/python -m compileall -qq --workers 0 $(VENV)/lib || true  # pip compiles on one core, and skips errors too
	@touch $@

bench: $(STAMP)  ## Measure the operators that no image guides at 256x120x120, write reports/<device>/
	@$(BIN)/upsampler-bench run --output-dir 'reports/{device}' $(PUBLISHED) $(ARGS)

bench-smoke: $(STAMP)  ## The same at a small shape, in a minute or two, into runs/
	@$(BIN)/upsampler-bench run --plan smoke $(ARGS)

paper: $(STAMP)  ## Reproduce the paper's tables and figures, also inside SegFormer-B1 (15 minutes, once)
	@$(BIN)/upsampler-bench paper --output-dir 'reports/{device}/paper' $(PUBLISHED) $(ARGS)

foundation: $(STAMP)  ## Measure upsamplers for foundation features, beside their published costs, into reports/<device>/foundation
	@$(BIN)/upsampler-bench run --plan foundation --output-dir 'reports/{device}/foundation' $(PUBLISHED) $(ARGS)

bench-pytest: $(STAMP)  ## Time every operator with pytest-benchmark, into reports/local/
	@mkdir -p reports/local && $(BIN)/python -m pytest -p benchmark tests/benchmarks --benchmark-json reports/local/pytest-benchmark.json $(ARGS)

sweep: $(STAMP)  ## Measure cost against size, H = W from 30 to 480 and C from 64 to 1024, into runs/
	@$(BIN)/upsampler-bench run --plan sweep $(ARGS)

profile: $(STAMP)  ## Measure where the time of operators goes, into runs/
	@$(BIN)/upsampler-bench profile $(ARGS)

capabilities: $(STAMP)  ## Test what works on every operator (dtypes, layouts, sizes, compilers, ONNX), print the matrix
	@$(BIN)/upsampler-bench capabilities --output-dir 'reports/{device}/capabilities' $(PUBLISHED) $(ARGS)

quality: $(STAMP)  ## Measure the quality of operators: signatures, and small trained networks
	@$(BIN)/upsampler-bench quality --task signature --task shapes --seeds 1 --output-dir 'reports/{device}/quality' $(PUBLISHED) $(ARGS)

engines: $(STAMP)  ## Measure operators in engines beside torch (ONNX Runtime, OpenVINO), into reports/<device>/engines
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[engines]"
	@$(BIN)/upsampler-bench run --plan engines --output-dir 'reports/{device}/engines' $(PUBLISHED) $(ARGS)

report: $(STAMP)  ## Write the reports in reports/ (not paper/) again from their stored results
	@for results in reports/*/results.json $(wildcard $(addsuffix /results.json,$(addprefix reports/*/,capabilities engines foundation quality))); do $(BIN)/upsampler-bench report $$(dirname $$results) $(PUBLISHED) $(ARGS) || exit; done

bench-gpu: $(STAMP)  ## On an NVIDIA GPU: time both backends, compare their values, look for races (docs/backends.md)
	@failed=; for step in "$(BIN)/python tests/benchmarks/gpu_times.py" "$(BIN)/upsampler-bench run --plan gpu $(ARGS)" \
		"$(BIN)/python -m pytest -m cuda -n 8 --dist load tests/upsamplers/functional" "$(BIN)/python tests/benchmarks/sanitize.py"; do \
		echo "$$step"; $$step || failed="$$failed [$$step]"; done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

test: $(STAMP)  ## Run the tests
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not exhaustive" $(ARGS)

test-all: $(STAMP)  ## Run also the tests that compile every kernel, and every operator in every engine
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

unit: $(STAMP)  ## Run the tests that start no processes of their own, in half the time
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow and not cuda and not exhaustive" $(ARGS)

test-cuda: $(STAMP)  ## Run the tests that need an NVIDIA GPU
	@failed= ran=; for tests in "-n 8 --dist load tests/upsamplers/functional" "--ignore tests/upsamplers/functional"; do \
		$(BIN)/python -m pytest -m cuda $$tests $(ARGS); code=$$?; \
		test $$code = 5 || ran=1; test $$code = 0 -o $$code = 5 || failed=1; done; \
		test -n "$$ran" -a -z "$$failed"  # 5: no test matched ARGS

lint: $(STAMP)  ## Check format and lint
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(STAMP)  ## Check types
	@$(BIN)/mypy

check: lint types test  ## Format, lint, types and tests

format: $(STAMP)  ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:  ## Remove .venv and caches; runs/ and reports/ stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info reports/local
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
