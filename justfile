# Commands to run by hand. `.ci/run` runs everything that a change must pass.

# Demo: five nodes, one is killed, one leaves
demo:
    cargo run --release -p tidings-cli -- demo

# All tests, with all features: every node encrypts what it sends
test:
    cargo test --workspace

# The core's tests in plaintext
test-plain:
    cargo test -p tidings

# Check that no file of the core imports a higher layer
layers:
    cargo test -p tidings-tests --test layers

# Check that lines have at most 100 columns; .ci/columns lists the exemptions
columns:
    .ci/columns

# Check formatting, and lints without features and with all
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --no-default-features -- -D warnings
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Build the documentation, private items included; a broken link is an error
docs:
    RUSTDOCFLAGS="-D warnings" \
        cargo doc --workspace --no-deps --all-features --document-private-items

# Link the core without std, and check that linking fails with it
no-std:
    cargo build -p tidings-no-std --profile no-std
    cargo build -p tidings-no-std --profile no-std --features tidings/encryption,tidings/memberlist
    ! cargo build -p tidings-no-std --profile no-std --features tidings/std 2>/dev/null

# Package the published crates; fails on warnings, or if a package does not compile by itself
package:
    .ci/package

# Write the public API of each published library to docs/api (needs nightly; installs a tool)
api:
    .ci/api

# Check licences, duplicates and sources of dependencies (needs cargo-deny)
deny:
    cargo deny --all-features check licenses bans sources

# Check dependencies for known vulnerabilities (needs cargo-deny, and the network for its database)
advisories:
    cargo deny --all-features check advisories

# Targets: datagram, stream, inputs, mitm, craft and extreme, each also with memberlist_ before it;
# replay; eth_http, eth_ipc and eth_abi with `--features eth`. With `--features encryption`, those
# of Tidings' own format encrypt; mitm always does.
#
# Build: `fast`; or `checked`, which is slower, asserts the core's invariants after each input, and
# lets the fuzzer see the operands of comparisons.
#
# Fuzz one target for some seconds (needs nightly and cargo-fuzz)
fuzz target seconds="60" build="fast" *flags:
    mkdir -p fuzz/target/corpus/{{ target }}
    RUSTC_WRAPPER={{ fuzz-rustc }} cargo +nightly fuzz run \
        --sanitizer none {{ if build == "fast" { fuzz-fast } else { "" } }} \
        --target-dir fuzz/target/{{ build }} {{ flags }} {{ target }} \
        fuzz/target/corpus/{{ target }} fuzz/corpus/{{ target }} \
        -- -max_total_time={{ seconds }} -timeout=10 -max_len=500 -len_control=0 -entropic=0

fuzz-rustc := justfile_directory() / ".ci/fuzz-rustc"
fuzz-fast := "--release --no-trace-compares"

# Fuzz all targets, in both builds, for some seconds together; fails if one finds something
fuzz-all seconds="900":
    .ci/fuzz-all {{ seconds }}

# Replace what the fuzzer found for a target so far by the few inputs that reach as much
fuzz-cmin target *flags:
    RUSTC_WRAPPER={{ fuzz-rustc }} cargo +nightly fuzz cmin \
        --sanitizer none {{ fuzz-fast }} {{ flags }} \
        --target-dir fuzz/target/fast {{ target }} fuzz/target/corpus/{{ target }}

# Replay the fuzz corpora and mutations of them on a stable compiler
fuzz-smoke cases="20000":
    .ci/fuzz-smoke {{ cases }}

# Random faults on a few nodes, for many seeds: crashes, partitions, restarts, loss, leaves
chaos seeds="5000" first="0":
    SEEDS={{ seeds }} FIRST_SEED={{ first }} cargo test -p tidings --test chaos -- --nocapture

# Search for the input that costs most for its length, in each wire format at each size of table
budget seconds="600" seed="1":
    BUDGET_SECONDS={{ seconds }} BUDGET_SEED={{ seed }} \
        cargo test --release -p tidings --features memberlist --test budget -- --nocapture

# Simulate generated scenarios, one per seed
swarm seeds="0..10000":
    cargo run --release -p tidings-cli -- sim swarm --seeds {{ seeds }} --out target

# Measure the protocol against published figures: docs/QUALITY.md (25 minutes, 12 GB)
quality:
    cargo run --release -p tidings-cli -- sim experiment all --full --out target/quality
    mkdir -p docs/quality
    sed 's|(\([a-z-]*[.]svg\))|(quality/\1)|' target/quality/report.md >docs/QUALITY.md
    cp target/quality/*.svg docs/quality

# Speed and memory of the simulator, for a number of nodes and of simulated seconds
scale nodes="1000" seconds="60":
    cargo run --release -p tidings-sim --example scale -- {{ nodes }} {{ seconds }}

# Repeat the loopback tests, to find flaky ones
soak times="50":
    cargo test --workspace --no-run
    for _ in $(seq {{ times }}); do \
        cargo test -q -p tidings-tests --test conformance --test leaks --test idle && \
            cargo test -q -p tidings-std -p tidings-cli || exit 1; \
    done

# Test agents among real memberlist, Serf and Alertmanager nodes, installed first (Debian, as root)
interop *names:
    crates/tidings-tests/interop/install.sh
    TIDINGS_INTEROP=required cargo test -p tidings-tests --test interop -- {{ names }}

# Call contracts among real Ethereum nodes, installed first (needs npm)
eth *names:
    crates/tidings-tests/eth/install.sh
    TIDINGS_ETH=required cargo test -p tidings-tests --test eth -- --nocapture {{ names }}

# The status page in headless Chromium; writes target/page/status.png (Debian, as root)
page:
    crates/tidings-tests/service/install.sh
    TIDINGS_CHROMIUM=required cargo test -p tidings-tests --test service page -- --nocapture

# Check the files in deploy, and that agents serve the metrics that they name (Debian, as root)
deploy:
    crates/tidings-tests/service/install.sh
    TIDINGS_DEPLOY=required cargo test -p tidings-tests --test service -- deploy scraped split

# Kill and restart Serf's agents and ours in turn; first Serf's alone, as a control
interop-soak minutes="10":
    crates/tidings-tests/interop/install.sh
    TIDINGS_INTEROP=required cargo test -p tidings-tests --test interop -- \
        soak --minutes {{ minutes }} --control

# Benchmarks: time, memory, bytes sent; with a name, only the times whose name contains it
bench *name:
    cargo bench -p tidings -- {{ name }}

# Cost of an idle node on each runtime and of its services (Linux; counts syscalls with strace)
idle seconds="60":
    cargo build --release -p tidings-cli
    cargo run --release -p tidings-tests --example idle -- {{ seconds }}

# Instructions per operation, for these cluster sizes (needs valgrind)
instructions *members:
    crates/tidings/benches/instructions.sh {{ members }}

# Everything that a change must pass
ci:
    .ci/run
