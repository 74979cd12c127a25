//! Tidings under virtual time: thousands of real nodes, repeatable from one seed.

pub mod report;
