# What can be done here. `make help` prints the lines with a double hash.
.DEFAULT_GOAL := help
.PHONY: help install check static fast-tests test demo clean bundles-report campaign-kill campaign-results viewer-pictures
.DELETE_ON_ERROR:

PYTHON ?= python3
IMAGES ?=
DATA ?= ../shared/data/images
BIN := .venv/bin
# dpkg names; installed only where they are missing, and only by root
DEMO_PACKAGES := orthanc libseccomp2 util-linux
TEST_PACKAGES := $(DEMO_PACKAGES) dcmtk dicom3tools iproute2 orthanc-dicomweb
GENERATED := $(shell grep -rlE --include='*.md' '\[\[\[cog' README.md docs 2>/dev/null)
export PYTHON

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/.product ## the whole way on synthetic studies with a real PACS; your own pictures: make demo IMAGES=DIR
	@deploy/debian-packages.sh $(DEMO_PACKAGES)
	@deploy/system-user.sh
	@$(BIN)/derm-pacs demo $(if $(IMAGES),--images '$(IMAGES)')

test: install ## the environment, what the tests need, and all tests
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

bundles-report: .venv/.complete ## every report, every table of the bundles' cards and what each gate lets through again, from the shipped weights, the tables in DATA and drawn pictures
	@$(BIN)/derm-pacs samples mosaics --out build/drawn/mosaics --count 20 --rows 768 --columns 768
	@$(BIN)/derm-pacs samples dermatoses --out build/drawn/dermatoses --count 25
	@$(BIN)/derm-pacs samples mosaics --out build/drawn/gate_mosaics --count 30 --rows 600 --columns 600
	@for bundle in monai_bundles/*; do \
		case $$bundle in */rcm_mosaic_resnet) pictures=build/drawn/gate_mosaics ;; *) pictures='$(DATA)' ;; esac; \
		$(BIN)/derm-pacs bundles evaluate $$bundle --data '$(DATA)' --data build/drawn --write || exit 1; \
		$(BIN)/derm-pacs bundles quality $$bundle --data "$$pictures/MANIFEST.csv" --write || exit 1; \
	done
	@$(BIN)/cog -r docs/lead/training.md

campaign-kill: .venv/.complete ## every point at which a process can be killed, one at a time; about half an hour
	@$(BIN)/python -m pytest -m campaign tests/acceptance/test_kill_points.py

campaign-results: .venv/.complete ## every source that can be coded before every validator; hours. A tenth of it: make campaign-results SHARE=10
	@SHARE='$(SHARE)' SEED='$(SEED)' $(BIN)/python -m pytest -n 2 --dist worksteal -m campaign tests/results/product/test_campaign.py

viewer-pictures: .venv/.complete ## results of three generated studies as OHIF shows them, to docs/pictures; fetches OHIF and a browser driver
	@tests/viewer/fetch.sh
	@$(BIN)/python -m tests.viewer.pictures

check: ## style, types, layers, generated documentation and the fast tests, side by side; under two minutes
	@$(MAKE) --no-print-directory -j 2 --output-sync static fast-tests

install: .venv/.complete ## the environment .venv with all extras, and the Debian packages of the tests
	@deploy/debian-packages.sh $(TEST_PACKAGES)
	@deploy/system-user.sh

static: .venv/.complete ## the part of check that runs nothing
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(if $(GENERATED),$(BIN)/cog --check $(GENERATED))

fast-tests: .venv/.complete ## the tests without servers, on two cores
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not server and not acceptance and not campaign'

clean: ## remove what was built; .venv stays
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.complete: pyproject.toml
	@deploy/environment.sh dev,train
	@touch .venv/.complete .venv/.product

.venv/.product: pyproject.toml
	@deploy/environment.sh product
	@touch .venv/.product
