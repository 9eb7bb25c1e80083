# Everything here works on a fresh Debian 12 with Go and make; deps installs the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:

# bin/ has the programs of this machine, bin/linux-ARCH/ those of `make build GOARCH=ARCH`.
BIN := $(if $(filter-out $(shell go env GOHOSTARCH 2>/dev/null),$(GOARCH)),bin/linux-$(GOARCH),bin)

# The race detector needs a C compiler; the others are the programs that the examples and the tests run.
PACKAGES := ca-certificates curl dnsutils gcc git haproxy iperf3 libc-ares-dev libc6-dev libmemcached-tools \
	memcached musl-tools nghttp2-client nginx node-undici node-ws nodejs openssh-server postgresql python3 python3-aiohttp \
	python3-aiosmtpd python3-websockets redis-server redis-tools rsync strace systemd util-linux wrk dbus-daemon
# What reads the packages of `make packages` back, and the shells that completions are for.
PACKAGES += bash-completion fish lintian man-db rpm zsh
BOOT_PACKAGES := debootstrap systemd-container
GEN_PACKAGES := clang-19 libbpf-dev linux-libc-dev llvm-19
GENERATED := bpf/mesh_bpfel.go bpf/mesh_bpfel.o packaging/man/meshd.8 packaging/man/meshctl.1 packaging/man/meshd.hcl.5

# Packages with tests that the race detector would make meaningless, like those that count allocations.
WITHOUT_RACE = $(sort $(dir $(shell grep -rl --include='*_test.go' '^//go:build !race' .)))
GO_TEST := GORACE=atexit_sleep_ms=0 MESHD_BINARY=$(CURDIR)/bin/meshd go test -v -count=1 -p 2 -timeout 12m

.PHONY: help deps deps-gen build tools packages demo lab test soak fuzz bench test-boot test-kernels gen gen-check lint clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what building, testing and the lab need
	@.ci/packages $(PACKAGES)
	@go mod download

deps-gen:
	@.ci/packages $(GEN_PACKAGES)

build: ## build bin/meshd, bin/meshctl and bin/meshlab; GOARCH=arm64: into bin/linux-arm64
	@mkdir -p $(BIN)
	CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o $(BIN)/ ./cmd/... ./examples/...
	@ln -sfn meshd $(BIN)/meshctl

tools: deps ## build what the tests run and Debian does not have, programs of others in Go, in bin/tools
	CGO_ENABLED=0 go build -modfile=examples/tools.mod -trimpath -ldflags '-s -w' -o $(BIN)/tools/ tool

VERSION = $(shell sed -n 's/^var version = "\(.*\)"/\1/p' cmd/daemon/version.go)
packages: deps ## build deb and rpm for amd64 and arm64, with checksums, in build/packages; VERSION=1.2.3: of that version
	@rm -rf build/packages
	@packaging/build $(VERSION) amd64 build/packages
	@packaging/build $(VERSION) arm64 build/packages
	@cd build/packages && sha256sum -- *.deb *.rpm *.json >SHA256SUMS && ls -sh

demo: deps build ## show on this machine, as root, what meshd does for two hosts
	@bin/meshdemo

lab: deps build ## bring two hosts up on this machine, as root, to play with
	@bin/meshlab up examples/01-two-hosts
	@echo 'meshlab is in $(CURDIR)/bin; examples/01-two-hosts/README.md has commands to try'

test: deps build tools ## run all tests, as root; a skipped test fails. The whole log is build/test.log
	@test "$$(id -u)" = 0 || { echo 'make test: the tests make network namespaces and load kernel programs; run: sudo env "PATH=$$PATH" make test' >&2; exit 1; }
	@mkdir -p build
	CGO_ENABLED=0 GOARCH=arm64 go build -o /dev/null ./cmd/meshd
	go vet ./...
	$(GO_TEST) -race ./... 2>&1 | tee build/test.log | awk -f .ci/test.awk
	$(if $(WITHOUT_RACE),$(GO_TEST) $(WITHOUT_RACE) 2>&1 | tee -a build/test.log | awk -f .ci/test.awk)

# In make test the same tests have numbers that only show that they work.
SOAK_TESTS := ^Test(Integrity|IdleConnections|Restarts|ManyConnections|MixedLoad|Ledger|Fairness)$$
SOAK := -bytes 1073741824 -pause 150s -restarts 50 -connections 200000 -mixed 30m -kills 100 -requests 200000 -quiet 5000
soak: deps build ## what the tests of endurance do in small, in large, as root, for 50 minutes, then fuzz. SOAK='-mixed 3m': only that longer
	MESHD_BINARY=$(CURDIR)/bin/meshd go test -v -count=1 -parallel 1 -timeout 2h ./examples -run '$(SOAK_TESTS)' $(SOAK)
	@.ci/fuzz $(FUZZTIME)

# How long each target is fuzzed. In make test only what the committed corpora have is tried.
FUZZTIME := 10m
fuzz: deps ## look for what the parsers get wrong, 10 minutes for each fuzz target; FUZZTIME=1m: for as long
	@.ci/fuzz $(FUZZTIME)

bench: deps build ## compare meshd with HAProxy, nginx and no proxy, as root, for some 11 minutes, or BENCH='-workload h1-*'; also in build/bench.json
	@bin/meshbench -o build/bench.json $(BENCH)

test-boot: packages ## install the packages on hosts that boot, as root: start, reload, restart, reboot, purge
	@test "$$(id -u)" = 0 || { echo 'make test-boot: it boots hosts; run: sudo env "PATH=$$PATH" make test-boot' >&2; exit 1; }
	@.ci/packages $(BOOT_PACKAGES)
	MESHD_BOOT_TREE=$$(.ci/boot-tree) MESHD_DEB=$$(echo $(CURDIR)/build/packages/*_$$(dpkg --print-architecture).deb) \
		MESHD_RPM=$$(echo $(CURDIR)/build/packages/*.$$(uname -m).rpm) \
		go test -tags boot -v -count=1 -timeout 9m ./examples/boot 2>&1 | tee build/test-boot.log | awk -f .ci/test.awk
	@sed -n 's/.*MEASURED /  /p' build/test-boot.log

test-kernels: ## run the tests of the kernel programs on Linux 6.1 and 6.12, in QEMU; KERNELS=6.1: on that one
	@.ci/test-kernels

gen: deps deps-gen ## compile the kernel programs, write their Go bindings and the manual pages
	go generate ./bpf/... ./packaging/...

gen-check: gen ## fail when the committed generated files are not what gen writes
	@changed=$$(git status --porcelain -- $(GENERATED)); test -z "$$changed" || { \
		git diff --stat -- $(GENERATED); \
		printf '%s\nmake gen-check: these files are generated; commit what make gen wrote\n' "$$changed" >&2; exit 1; }

lint: deps ## check style and formatting; the first run builds the linter, for minutes
	go tool -modfile=packaging/tools.mod golangci-lint run ./...

clean: ## remove what was built
	rm -rf bin build
