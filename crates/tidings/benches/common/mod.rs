//! Helpers that the benches share with the tests, and with each other.

#![allow(dead_code, unreachable_pub)]

#[path = "../../tests/common/forge.rs"]
pub mod forge;
pub mod link;
#[path = "../../tests/common/solo.rs"]
pub mod solo;

/// Cluster sizes, from a small one to the largest that the presets allow.
pub const MEMBERS: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];
