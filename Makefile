# Everything a newcomer or CI types.  `make help` lists the targets.
#
#   PYTHON=python3.13   which Python the virtual environment is made of
#   CC=clang            which C compiler builds the core
#   TESTS=tests/mmu     what `make test` and `make asan-test` run
#   JOBS=4              how many tests run at a time (some boot guests that touch 4 GB)

PYTHON ?= python3
VENV   ?= .venv
TESTS  ?= tests
JOBS   ?= 2
COUNT  ?= 100000
SEED   ?= 1
CC     := $(if $(filter default,$(origin CC)),$(shell command -v gcc || echo cc),$(CC))

BIN     := $(VENV)/bin
ASAN    := build/asan
C_FILES  = $(shell find csrc firmware -name '*.[ch]' -not -path '*/build/*' 2>/dev/null)
SOURCES := pyproject.toml setup.py pyemu/native/build.py $(shell find csrc -name '*.[ch]')

export CC
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test lint format asan-test fuzz fuzz-debug bench clean check-host
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

check-host:
	@tools/check-host $(PYTHON) $(CC)

# A virtual environment of another Python version is made anew.
$(VENV)/made-of: FORCE | check-host
	@want=$$($(PYTHON) -c 'import sys; print(sys.version, sys.base_prefix)' | tr -d '\n'); \
	if [ "$$want" != "$$(cat $@ 2>/dev/null)" ]; then \
	    echo "making $(VENV) with $(PYTHON)"; \
	    rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && printf %s "$$want" >$@; \
	fi

$(VENV)/installed: $(VENV)/made-of $(SOURCES)
	@echo "building and installing pyemu into $(VENV)"
	@$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/test-installed: $(VENV)/made-of $(SOURCES)
	@echo "building and installing pyemu, and what its tests need, into $(VENV)"
	@$(BIN)/python -m pip install -q -e '.[test]'
	@touch $(VENV)/installed $@

demo: $(VENV)/installed ## make the environment, build, boot a piece of ARM firmware and print the result
	@echo
	$(BIN)/pyemu boot firmware/elf/hello.elf
	@echo
	$(BIN)/pyemu boot firmware/elf/lpae.elf
	@echo
	@echo "The second one ran on page tables that it made itself and that pyemu walked.  Next: $(BIN)/pyemu boot --help, or the tour in README.md"

test: lint $(VENV)/test-installed ## everything: lint, firmware, unit, property and acceptance tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

lint: $(VENV)/test-installed ## ruff, mypy, the C format and C warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@echo "clang-format --dry-run -Werror of $(words $(C_FILES)) files"; \
	    $(BIN)/clang-format --dry-run -Werror $(C_FILES)
	@echo "$(CC) -Wall -Wextra -Wconversion -Werror of csrc"; printf '%s\0' $(filter csrc/%.c,$(C_FILES)) | \
	    xargs -0 -n 8 $(CC) $$($(BIN)/python pyemu/native/build.py) -Werror -fsyntax-only

format: $(VENV)/test-installed ## format Python and C in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

# The sanitizers live in a copy of the tree, so that their objects never mix with the ordinary ones.  Python itself is
# not instrumented: the sanitizer's library is loaded first, and Python's own leaks at exit are not reported.
SANITIZED = cd $(ASAN) && LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
    PYTHONPATH=$(abspath $(ASAN))/tests/sanitizer ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

$(ASAN)/built: $(VENV)/test-installed FORCE
	@mkdir -p $(ASAN) && rm -rf $(ASAN)/csrc $(ASAN)/tests
	@tar -c --exclude=./build --exclude='./.*' --exclude='*.so' --exclude='*.egg-info' . | tar -x -C $(ASAN)
	@cp .clang-format $(ASAN)
	@$(BIN)/python -m pip install -q 'setuptools>=77' wheel
	cd $(ASAN) && PYEMU_SANITIZE=1 $(abspath $(BIN))/python setup.py -q build_ext --inplace

asan-test: $(ASAN)/built ## the suite on a build with AddressSanitizer and UndefinedBehaviorSanitizer
	$(SANITIZED) PYTHONMALLOC=malloc PYEMU_FUZZ_BLOBS=3000 PYEMU_FUZZ_INPUTS=500 PYEMU_FUZZ_DEBUGGER=10000 \
	    $(abspath $(BIN))/python -m pytest -m 'not acceptance' $(TESTS)

fuzz: $(ASAN)/built ## random guests and damaged input on that build: COUNT=100000 SEED=1 JOBS=2
	$(SANITIZED) $(abspath $(BIN))/python -m tests.fuzz.blobs --count $(COUNT) --seed $(SEED) --jobs $(JOBS)
	$(SANITIZED) $(abspath $(BIN))/python -m tests.fuzz.inputs --count $$(($(COUNT) / 10)) --seed $(SEED)

fuzz-debug: $(ASAN)/built ## hostile packets, command lines, dumps and snapshots on that build: COUNT=1000000 SEED=1 JOBS=2
	$(SANITIZED) PYTHONMALLOC=malloc \
	    $(abspath $(BIN))/python -m tests.fuzz.debugger --count $(COUNT) --seed $(SEED) --jobs $(JOBS) \
	    $(if $(FIRST),--first $(FIRST)) $(if $(KIND),--kind $(KIND))

bench: $(VENV)/test-installed ## speed, side by side with peers
	$(BIN)/python -m pytest bench -s

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .benchmarks
	find pyemu -name '*.so' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +

FORCE:
