# `make run` and `make test` set everything up themselves; see README.md.
PYTHON ?= python3
MODEL_NAME ?= shapes-tiny
VENV := .venvs
RUN := $(VENV)/run
DEV := $(VENV)/dev
SAM := $(VENV)/sam
export MODEL_NAME

.PHONY: run test lint format bench families model bundle clean

# The shipped model needs neither torch nor a download; any other is baked once, which does.
run: $(RUN)/.installed-$(if $(filter shapes-tiny,$(MODEL_NAME)),serve,bake)
	$(RUN)/bin/openclip serve

test: $(DEV)/.installed $(SAM)/.installed
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy
	tools/browser.sh
	$(DEV)/bin/python -m pytest $(ARGS)

lint: $(DEV)/.installed
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy

format: $(DEV)/.installed
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

# The table of docs/benchmarks.md: full-size ViT-B-32, random weights, against plain open_clip.
bench: $(DEV)/.installed
	$(DEV)/bin/python -m benchmarks.serving

# The table of docs/architectures.md: bake every family once with random weights.
families: $(DEV)/.installed
	$(DEV)/bin/python -m tools.families

# Train the shipped model anew, then bake it into the package.
model: $(DEV)/.installed
	$(DEV)/bin/python -m tools.shapes.train --out models/shapes-tiny
	$(MAKE) bundle

bundle: $(DEV)/.installed
	$(DEV)/bin/openclip bake --model shapes-tiny --model-id OpenCLIP-shapes-tiny \
		--out handler/bundles/shapes-tiny

$(RUN)/.installed-serve: pyproject.toml constraints.txt
	$(PYTHON) tools/setup_venv.py $(RUN) --extras server,fetch --stamp $@

$(RUN)/.installed-bake: pyproject.toml constraints.txt
	$(PYTHON) tools/setup_venv.py $(RUN) --extras server,bake,fetch --stamp $@

$(DEV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) tools/setup_venv.py $(DEV) --extras server,bake,hub,fetch,heic --groups dev --stamp $@

# The Runtime Interface Emulator comes inside aws-sam-cli, which pins an older click than others.
$(SAM)/.installed: constraints.txt
	$(PYTHON) tools/setup_venv.py $(SAM) --only "aws-sam-cli>=1.135" --stamp $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
