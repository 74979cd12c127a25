//! The layers of the core: no file of `crates/tidings/src` imports a higher layer, and no two files
//! import each other, in a circle of any length.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders and files of `crates/tidings/src`, lowest layer first. Those of one layer may import
/// each other only within the first, and then without a circle.
const LAYERS: [&[&str]; 13] = [
    &["addr", "time", "rng", "rtt", "incarnation", "member", "target", "stats", "error", "event"],
    &["crypto"],
    &["config"],
    &["membership"],
    &["wire"],
    &["stream"],
    &["gossip", "sync"],
    &["timers"],
    &["detector"],
    &["output"],
    &["record"],
    &["node"],
    &["replay"],
];

#[test]
fn no_file_of_the_core_imports_a_higher_layer() {
    let wrong: Vec<_> = imports()
        .iter()
        .flat_map(|(file, imported)| imported.iter().map(move |module| (file, module)))
        .filter(|(file, module)| !is_allowed(file, module))
        .map(|(file, module)| format!("{file} imports {module}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_of_the_core_import_each_other_in_a_circle() {
    let imports = imports();
    let edges: BTreeMap<_, BTreeSet<_>> = imports
        .iter()
        .map(|(file, imported)| {
            let files = imported.iter().filter_map(|module| resolve(&imports, module));
            let others = files.filter(|other| *other != file && !is_family(file, other));
            (file.as_str(), others.map(String::as_str).collect())
        })
        .collect();
    let mut done = BTreeSet::new();
    for file in edges.keys() {
        visit(file, &edges, &mut Vec::new(), &mut done);
    }
}

/// Follows the imports of a file, depth first.
fn visit<'a>(
    file: &'a str,
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) {
    if let Some(start) = path.iter().position(|&earlier| earlier == file) {
        panic!("a circle: {} -> {file}", path[start..].join(" -> "));
    }
    if !done.contains(file) {
        path.push(file);
        edges[file].iter().for_each(|next| visit(next, edges, path, done));
        path.pop();
        done.insert(file);
    }
}

/// A parent module and its own child may know each other.
fn is_family(a: &str, b: &str) -> bool {
    a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"))
}

fn is_allowed(file: &str, module: &str) -> bool {
    let (from, to) = (top(file), top(module));
    let Some(target) = layer(to) else {
        panic!("{file} imports {module}, which is in no layer; add it to LAYERS");
    };
    match layer(from) {
        // `lib.rs` re-exports from every layer.
        None if from == "lib" => true,
        None => panic!("{file} is in no layer; add it to LAYERS"),
        Some(0) => target == 0,
        Some(layer) => target < layer || from == to,
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The file that has a path such as `wire::message::Ack`: the longest prefix that is a module.
fn resolve<'a>(imports: &'a BTreeMap<String, BTreeSet<String>>, path: &str) -> Option<&'a String> {
    let mut path = path;
    loop {
        if let Some((file, _)) = imports.get_key_value(path) {
            return Some(file);
        }
        path = path.rsplit_once("::")?.0;
    }
}

/// The modules of the core, tests apart, each with the `crate::` paths in it.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tidings/src");
    let mut imports = BTreeMap::new();
    collect(&src, "", &mut imports);
    assert!(imports.len() > 50, "{} files", imports.len());
    imports
}

fn collect(folder: &Path, module: &str, imports: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let child = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        if path.is_dir() {
            collect(&path, &child, imports);
        } else if name != "tests" {
            let file = if name == "mod" { module.to_owned() } else { child };
            imports.insert(file, paths(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The paths that begin with `crate::` in the code of a file, without comments and unit tests.
fn paths(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or(line));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            rest[..end.unwrap_or(rest.len())].trim_end_matches(':').to_owned()
        })
        .collect()
}
