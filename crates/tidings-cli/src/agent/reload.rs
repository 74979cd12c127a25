//! SIGHUP: keys, tags, level of the log, and seeds are read again.

use super::Args;
use crate::config::Sources;
use crate::key_file::Keys;
use crate::output::count;
use crate::report::Report;
use crate::runtime::Node;
use serde_json::json;
use std::sync::Arc;
use tidings_control::Level;
use tidings_driver::prelude::Meta;

/// What is needed to read the options again.
pub(super) struct Reload {
    /// The options that are in force.
    args: Args,
    sources: Sources,
    node: Arc<Node>,
    keys: Arc<Keys>,
    report: Report,
}

impl Reload {
    pub(super) fn new(
        args: Args,
        sources: Sources,
        node: Arc<Node>,
        keys: Arc<Keys>,
        report: Report,
    ) -> Self {
        Self { args, sources, node, keys, report }
    }

    /// Reads the options again, and reports what came of it; the agent runs on in any case.
    pub(super) fn run(&mut self) {
        match self.apply() {
            Ok(text) => {
                self.report.log("reload", Level::Info, &text, json!({"ok": true, "text": text}));
            }
            Err(error) => {
                let text = format!("not reloaded: {error}");
                let fields = json!({"ok": false, "error": error});
                self.report.log("reload", Level::Error, &text, fields);
            }
        }
    }

    /// Puts the new options in force, all or none of those of the configuration file; returns what
    /// is in force now.
    fn apply(&mut self) -> Result<String, String> {
        let (new, sources) = self.sources.read_again().map_err(|fatal| fatal.message)?;
        let locate = |fatal| sources.locate(fatal).message;
        let meta = new.metadata().map_err(locate)?;
        let old_meta = self.args.metadata().unwrap_or(Meta::EMPTY);
        let seeds = new.seeds.sources(new.context().port()).map_err(locate)?;
        let old_seeds = self.args.seeds.sources(self.args.context().port()).unwrap_or_default();
        let keys = self.keys.reload(new.keys.is_insecure())?;
        // Tags that were set by command stay until the file has others.
        if meta != old_meta {
            self.node.set_meta(meta).map_err(|error| error.to_string())?;
        }
        if seeds != old_seeds {
            self.node.set_seeds(seeds.clone()).map_err(|error| error.to_string())?;
        }
        self.report.set_level(new.log_level);
        let keys = keys.map(|keys| format!("{}, ", count(keys, "key"))).unwrap_or_default();
        let seeds = count(seeds.len(), "source");
        let text = format!("reloaded: {keys}{seeds} of seeds, log level {}", new.log_level);
        (self.args, self.sources) = (new, sources);
        Ok(text)
    }
}
