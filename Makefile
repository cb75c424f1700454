# SPDX-License-Identifier: Apache-2.0
#
# A thin cover over meson. `make help` lists what there is.

BUILD := build
SANITIZED := build-sanitized
DESTDIR ?=
prefix ?= /usr/local

.PHONY: all run lab test bench fuzz install clean help

all: $(BUILD)/build.ninja ## build the command, the nginx module and the library into build/
	@ninja -C $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(BUILD)/build.ninja:
	@packaging/setup.sh build
	@meson setup --buildtype=release -Db_ndebug=true --prefix=$(prefix) $(BUILD) >/dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 1; }

run: ## the demonstration: a gateway at http://127.0.0.1:8080 in front of a small shop on two nodes
	@packaging/setup.sh run
	@$(MAKE) --no-print-directory all
	@exec examples/shop/run $(BUILD)

lab: ## the ways to share a login, measured side by side on this machine: a table, and build/lab.html
	@packaging/setup.sh lab
	@$(MAKE) --no-print-directory all
	@$(BUILD)/latchkey lab --html $(BUILD)/lab.html

test: ## every test, under the sanitizers, against real servers
	@packaging/setup.sh test
	@$(MAKE) --no-print-directory all
	@test -f $(SANITIZED)/build.ninja || meson setup -Dtests=true -Db_sanitize=address,undefined -Db_lundef=false $(SANITIZED) >/dev/null || { cat $(SANITIZED)/meson-logs/meson-log.txt; exit 1; }
	@ninja -C $(SANITIZED)
	@/usr/bin/python3 tests/run.py $(BUILD) $(SANITIZED)

bench: ## the figures: speed and memory, measured here and now
	@packaging/setup.sh bench
	@test -f build-bench/build.ninja || meson setup --buildtype=release -Db_ndebug=true -Dbench=true build-bench >/dev/null
	@ninja -C build-bench
	@/usr/bin/python3 bench/run.py build-bench

fuzz: ## the fuzz targets, SECONDS=60 each
	@tests/fuzz/run.sh $(or $(SECONDS),60)

install: all ## install into DESTDIR and prefix (default /usr/local)
	@meson configure $(BUILD) --prefix=$(prefix)
	@ninja -C $(BUILD)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean: ## remove what was built
	rm -rf $(BUILD) $(SANITIZED) build-bench
