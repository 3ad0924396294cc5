# What there is to do here, one target each. `make` alone lists them.

CONTROL_PLANE := tests/controlplane/build.sh
TOOLS := $(or $(TRIPLINE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tripline)/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_FUZZ_VERSION := 0.13.2
FUZZ_TARGETS := kql checkpoint line
FUZZ_SECONDS := 3600

.PHONY: help build image test sameness node-packages lint deny demo bench fuzz latency flood day memory webhook pod audit-cost hour crds goldens

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the program: target/release/tripline
	cargo build --release --locked

image: $(TOOLS)/bin/cargo-cyclonedx ## the container image as an archive, target/image/tripline.tar, and its SBOM
	PATH="$(TOOLS)/bin:$$PATH" image/archive.sh

$(TOOLS)/bin/cargo-cyclonedx:
	cargo install cargo-cyclonedx --locked --version $(CARGO_CYCLONEDX_VERSION) --root $(TOOLS)

test: ## run every test, against a real control plane that is built on first use
	$(CONTROL_PLANE) etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy helm >/dev/null
	cargo test --locked --no-fail-fast

sameness: ## that all ways to judge agree, on twenty times the cases of the usual tests
	PROPTEST_CASES=16000 cargo test --release --locked --lib -- sameness

node-packages: ## install what the tests need of Debian (as root): pods, jq; without it those are left out
	tests/controlplane/node-packages.sh

lint: ## formatting, clippy and the documentation's links, warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

deny: $(TOOLS)/bin/cargo-deny ## licences, sources and duplicate versions of the dependencies
	$(TOOLS)/bin/cargo-deny check bans licenses sources

$(TOOLS)/bin/cargo-deny:
	cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS)

demo: ## a control plane, the operator, a kubectl exec, and the alert it raises
	demo/demo.sh

bench: ## what judging costs, against other programs: benches/README.md. ROWS=memory takes the rows with that name
	cargo bench --locked --bench table

fuzz: $(TOOLS)/bin/cargo-fuzz ## feed hostile input to FUZZ_TARGETS (kql checkpoint line), FUZZ_SECONDS each (3600); takes nightly Rust
	@set -e; for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  PATH="$(TOOLS)/bin:$$PATH" cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target \
	    -- -max_total_time=$(FUZZ_SECONDS) -dict=fuzz/dictionaries/$$target.dict; \
	done

$(TOOLS)/bin/cargo-fuzz:
	cargo install cargo-fuzz --locked --version $(CARGO_FUZZ_VERSION) --root $(TOOLS)

latency: ## from an audit record's write to its alert, 200 times
	$(CONTROL_PLANE) etcd kube-apiserver kubectl >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example latency

flood: ## how soon a severe alert is there while a flood of lesser ones comes, and all of a burst
	$(CONTROL_PLANE) etcd kube-apiserver kubectl >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example flood

day: ## what a day's LOG (- for standard input) leaves in a cluster with the whole library: alerts, writes, bytes in etcd
	$(CONTROL_PLANE) etcd kube-apiserver kubectl >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example day -- $(LOG)

memory: ## what `run` keeps in memory while it follows LOG
	$(CONTROL_PLANE) etcd kube-apiserver kubectl >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example memory -- $(LOG)

webhook: ## how soon a batch is answered, and that all of LOG is counted, at 5,000 events a second with five kills
	$(CONTROL_PLANE) etcd kube-apiserver kubectl helm >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example webhook -- $(LOG)

pod: ## what the reader's pod takes while LOG is appended by 400 events a second, five minutes long; as root
	$(CONTROL_PLANE) etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet helm >/dev/null
	cargo run --release --locked --example pod -- $(LOG)

audit-cost: ## what audit policies log in an hour on one node, Tripline's and others, in 26 minutes; as root
	$(CONTROL_PLANE) etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet helm >/dev/null
	cargo build --release --locked
	cargo run --release --locked --example audit-cost

hour: ## what kinds of requests an hour of an ordinary node holds, as in tests/hour.tsv; as root, takes an hour
	$(CONTROL_PLANE) etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy >/dev/null
	cargo run --locked --example hour

crds: ## write crds/ anew from the types (both charts have it by a link)
	UPDATE_CRDS=1 cargo test --locked --test crds

goldens: ## write tests/chart/golden/ anew from the chart
	UPDATE_GOLDENS=1 cargo test --locked --test chart_render
