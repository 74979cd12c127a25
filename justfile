# Recipes for work by hand; `.ci/run` runs those that a change must pass.

# The main job: five nodes, one killed, one that leaves
demo:
    cargo run --release -p tidings-cli -- demo

# All tests, as the README says: every node of theirs seals what it sends
test:
    cargo test --workspace

# The core's tests without encryption
test-plain:
    cargo test -p tidings

# Lines have at most 100 columns; .ci/columns lists the exemptions
columns:
    .ci/columns

# Formatting, and lints without and with all features
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --no-default-features -- -D warnings
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The documentation, private items included; a broken link is an error
docs:
    RUSTDOCFLAGS="-D warnings" \
        cargo doc --workspace --no-deps --all-features --document-private-items

# The core links without std, and would not if it needed it
no-std:
    cargo build -p tidings-no-std --profile no-std
    cargo build -p tidings-no-std --profile no-std --features tidings/encryption,tidings/memberlist
    ! cargo build -p tidings-no-std --profile no-std --features tidings/std 2>/dev/null

# Packages the published crates; fails on warnings, or if a package does not compile by itself
package:
    .ci/package

# Writes the public API of each published library to docs/api (needs nightly; installs a tool)
api:
    .ci/api

# Licences, duplicate and unknown dependencies (needs cargo-deny)
deny:
    cargo deny --all-features check licenses bans sources

# Targets: datagram, stream, inputs, replay, memberlist_datagram, memberlist_stream and
# memberlist_inputs. Flags: `--features encryption` for encrypted traffic.
# Fuzzes one target for some seconds (needs nightly and cargo-fuzz)
fuzz target seconds="60" *flags:
    mkdir -p fuzz/target/corpus/{{ target }}
    cargo +nightly fuzz run {{ flags }} {{ target }} \
        fuzz/target/corpus/{{ target }} fuzz/corpus/{{ target }} \
        -- -max_total_time={{ seconds }} -timeout=10

# The fuzz targets on a stable compiler: their corpora, and many mutations of them
fuzz-smoke cases="20000":
    PROPTEST_CASES={{ cases }} cargo test -p tidings-fuzz-replay --no-default-features
    PROPTEST_CASES={{ cases }} cargo test -p tidings-fuzz-replay --no-default-features \
        --features encryption
    PROPTEST_CASES={{ cases }} cargo test -p tidings-fuzz-replay memberlist

# A few nodes to which anything happens, for many seeds: crashes, cuts, restarts, loss, leaves
chaos seeds="5000" first="0":
    SEEDS={{ seeds }} FIRST_SEED={{ first }} cargo test -p tidings --test chaos -- --nocapture

# Real nodes in scenarios that nobody wrote, one for each seed
swarm seeds="0..10000":
    cargo run --release -p tidings-cli -- sim swarm --seeds {{ seeds }} --out target

# The protocol's quality beside published figures: docs/QUALITY.md (25 minutes, 12 GB)
quality:
    cargo run --release -p tidings-cli -- sim experiment all --full --out target/quality
    mkdir -p docs/quality
    sed 's|(\([a-z-]*[.]svg\))|(quality/\1)|' target/quality/report.md >docs/QUALITY.md
    cp target/quality/*.svg docs/quality

# How fast so many simulated nodes run for so many seconds, and how much memory they take
scale nodes="1000" seconds="60":
    cargo run --release -p tidings-sim --example scale -- {{ nodes }} {{ seconds }}

# The loopback tests, over and over: for whoever suspects one of depending on luck
soak times="50":
    cargo test --workspace --no-run
    for _ in $(seq {{ times }}); do \
        cargo test -q -p tidings-tests --test conformance --test leaks --test idle && \
            cargo test -q -p tidings-std -p tidings-cli || exit 1; \
    done

# Agents among real memberlist, Serf and Alertmanager nodes, installed first (Debian, as root)
interop *names:
    crates/tidings-tests/interop/install.sh
    TIDINGS_INTEROP=required cargo test -p tidings-tests --test interop -- {{ names }}

# Serf agents alone, then with ours, for some minutes, while one after the other is killed
interop-soak minutes="10":
    crates/tidings-tests/interop/install.sh
    TIDINGS_INTEROP=required cargo test -p tidings-tests --test interop -- \
        soak --minutes {{ minutes }} --control

# What a node costs in time, in memory and on the wire; with a name, only the times named so
bench *name:
    cargo bench -p tidings -- {{ name }}

# The cost of an idle node on each runtime (Linux; counts syscalls if strace is installed)
idle seconds="60":
    cargo build --release -p tidings-cli
    cargo run --release -p tidings-tests --example idle -- {{ seconds }}

# What a node costs in instructions, in clusters of so many members (needs valgrind)
instructions *members:
    crates/tidings/benches/instructions.sh {{ members }}

# All that a change must pass
ci:
    .ci/run
