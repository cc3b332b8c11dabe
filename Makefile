# `make reproduce` and `make test` are all that most people need. Both set up .venv first; both may be repeated.
PYTHON ?= python3
CONFIG ?= config/quick.yaml
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup reproduce test lint format lock clean
.PHONY: bench-projector bench-train bench-evaluate bench-jobs bench-shards bench-conversations bench-selection
.PHONY: bench-reruns bench-versions bench-captions bench-serve-captions bench-commands bench-harnesses bench-tuning bench-spread bench-intervals
.PHONY: bench-reproduce config-is-there

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 22

setup: $(VENV)/.installed  ## create .venv and install the locked dependencies

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name another one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

config-is-there:
	@test -f "$(CONFIG)" || { echo "error: CONFIG=$(CONFIG): there is no such file; configs: $(wildcard config/*.yaml)" >&2; exit 2; }

reproduce: config-is-there setup  ## run the experiment (CONFIG=config/quick.yaml CORES=2)
	@$(BIN)/pargo reproduce --config "$(CONFIG)" --cores "$(CORES)"

test: setup  ## run the whole test suite, the cheap checks first
	@$(MAKE) --no-print-directory lint
	@# three at a time on two cores: tests of jobs mostly wait
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --no-loadscope-reorder

bench-tuning: setup  ## trials of quick's settings on validation images, as many for each arm (30 min; writes reports/bench/)
	@$(BIN)/python -m bench.tuning --cores "$(CORES)"

bench-spread: setup  ## scores of quick from training seed to training seed (15 min; the same)
	@$(BIN)/python -m bench.spread --seeds 0 1 2 3 4 --cores "$(CORES)"

bench-reproduce: setup  ## time, CPU time and memory of `make reproduce` in a clean clone (30 min; the same)
	@$(BIN)/python -m bench.reproduce HEAD --cores "$(CORES)"

bench-intervals: setup  ## whether 95 % intervals over images and seeds are that, by simulation (20 min; the same)
	@$(BIN)/python -m bench.intervals

bench-projector: setup  ## speed and memory of ParGo against a plain version of it (40 min; writes reports/bench/)
	@$(BIN)/python -m bench.projector

bench-train: setup  ## speed and memory of a training step against a plain one, at quick's and the paper's size (20 min)
	@$(BIN)/python -m bench.train_paper
	@$(BIN)/python -m bench.train

bench-evaluate: setup  ## questions/s in batches against one at a time, on the finished quick run (5 min; the same)
	@$(BIN)/python -m bench.evaluate

bench-jobs: setup  ## what waiting for 100 jobs costs the head node, on a private SLURM (7 min; the same)
	@$(BIN)/python -m bench.jobs

bench-shards: setup  ## opening and reading a million samples (5 min; the same)
	@$(BIN)/python -m bench.shards

bench-conversations: setup  ## memory of workers that read a million conversations and captions (15 min; the same)
	@$(BIN)/python -m bench.conversations

bench-selection: setup  ## a million fingerprints selected; which changed copies are found (3 min; the same)
	@$(BIN)/python -m bench.selection

bench-captions: setup  ## captions/s of a server that allows so many, against a plain client (2 min; the same)
	@$(BIN)/python -m bench.captions

bench-serve-captions: setup  ## 100 images captioned over HTTP by the finished quick run's model (2 min; the same)
	@$(BIN)/python -m bench.serve_captions

bench-reruns: setup  ## 50 rounds of random edits, damage, kills and reruns of micro (60 min; the same)
	@$(BIN)/python -m bench.reruns

bench-commands: setup  ## from a wrong argument to its error, against an older commit (30 min; the same)
	@$(BIN)/python -m bench.commands

bench-versions: setup  ## `versions status` beside a record of the paper's size, against an older commit (10 min; the same)
	@$(BIN)/python -m bench.versions

bench-harnesses: setup  ## `pargo score --as` against lmms-eval's and VLMEvalKit's own code (10 min, network; the same)
	@$(BIN)/python -m bench.harnesses

lint: setup  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/mypy --no-error-summary

format: setup  ## rewrite files in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile workflow

lock:  ## resolve the dependencies of pyproject.toml anew and write requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet '.[dev]'
	{ echo '# Exact versions of everything `make` installs; written by `make lock`.'; \
	  build/lock/bin/python -m pip freeze --all | grep -vE '^(pip|pargo-repro)[ =]' | sort -f | \
	  sed -E 's/^((nvidia|cuda|triton)[^ ]*)$$/\1 ; sys_platform == "linux" and platform_machine == "x86_64"/'; } > requirements.lock
	rm -rf build

clean:  ## remove logs and caches; what was paid for or took long stays
	rm -rf .snakemake .pargo/seen .pargo/code-*.json runs/*/logs runs/*/up_to_date runs/*/snakemake-report.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@echo 'kept: runs/ (checkpoints of trainings, results so far), .pargo/answers (of models), .pargo/kept (replaced'
	@echo 'artifacts, see `pargo gc`), artifacts/ and reports/. To remove what runs left, by hand: rm -rf runs .pargo'

