//! Agents as services: what operators do with them, their status page in a browser, and the files
//! in deploy/.
//!
//! `service/install.sh` installs the programs that these tests need. Without Chromium its tests are
//! skipped, unless the environment has `TIDINGS_CHROMIUM=required`; without Prometheus, promtool,
//! systemd-analyze and network namespaces, which need root, theirs, unless it has
//! `TIDINGS_DEPLOY=required`.

mod agents;
mod browser;
mod day2;
mod deploy;
mod page;
mod scraped;
mod split;
