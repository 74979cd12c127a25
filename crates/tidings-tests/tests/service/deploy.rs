//! The files in deploy/, as far as tools and parsers can check them, and docs/OPERATIONS.md.

use crate::agents::Agent;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = text.split("\n---\n");
    documents.map(|document| serde_yaml_ng::from_str(document).expect(path)).collect()
}

/// A program; `None`, with a message, if it is not there and the test is to be skipped.
fn program(places: [PathBuf; 2]) -> Option<PathBuf> {
    let [first, second] = places;
    if let Some(place) = [&first, &second].into_iter().find(|place| place.exists()) {
        return Some(place.clone());
    }
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    let help = format!("{name} is missing: run crates/tidings-tests/service/install.sh");
    assert!(std::env::var("TIDINGS_DEPLOY").as_deref() != Ok("required"), "{help}");
    eprintln!("skipped: {help}");
    None
}

/// A program of Prometheus, unpacked or installed.
pub(crate) fn prometheus(name: &str) -> Option<PathBuf> {
    let unpacked = root().join("target/service/prometheus/usr/bin");
    program([unpacked.join(name), Path::new("/usr/bin").join(name)])
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {}", said.concat());
    assert!(!said.concat().contains("WARNING"), "{}", said.concat());
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("tidings_")).map(str::to_owned).collect()
}

/// The names of the metrics that an agent serves.
fn served() -> BTreeSet<String> {
    let agents = Agent::cluster(["a", "b"], &[]);
    agents[0].wait("a round-trip time", |status| status["members"][1]["rtt"].is_f64());
    let text = agents[0].get("/metrics", "text/plain");
    text.lines().filter(|line| !line.starts_with('#')).flat_map(metrics).collect()
}

#[test]
fn every_metric_of_alerts_and_dashboard_is_served_and_every_metric_served_is_documented() {
    let served = served();
    for file in ["deploy/prometheus/alerts.yml", "deploy/prometheus/alerts_test.yml"] {
        let named = metrics(&read(file));
        assert!(named.len() > 5, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&served).collect();
        assert!(unknown.is_empty(), "{file} has metrics that no agent serves: {unknown:?}");
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        for target in targets {
            let named = metrics(target["expr"].as_str().unwrap());
            let known = !named.is_empty() && named.is_subset(&served);
            assert!(known, "{}: {named:?}", panel["title"]);
        }
    }
    let documented = metrics(&read("docs/OPERATIONS.md"));
    assert_eq!(documented, served, "docs/OPERATIONS.md lists the metrics that are served");
}

#[test]
fn what_an_agent_serves_is_what_prometheus_reads() {
    let Some(promtool) = prometheus("promtool") else { return };
    let agents = Agent::cluster(["a", "b"], &[]);
    let text = agents[0].get("/metrics", "text/plain");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let Some(promtool) = prometheus("promtool") else { return };
    let folder = root().join("deploy/prometheus");
    run(Command::new(&promtool).args(["check", "rules", "alerts.yml"]).current_dir(&folder));
    run(Command::new(&promtool).args(["test", "rules", "alerts_test.yml"]).current_dir(&folder));
    // Each is tested twice, and has a section that says what to do.
    let [alerts, tests] =
        ["alerts.yml", "alerts_test.yml"].map(|file| yaml(&format!("deploy/prometheus/{file}")));
    let operations = read("docs/OPERATIONS.md");
    let rules = alerts[0]["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let expected: Vec<_> = tests[0]["tests"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
            .filter(|test| test["alertname"] == name)
            .map(|test| test["exp_alerts"].as_array().unwrap().is_empty())
            .collect();
        assert!(expected.contains(&true) && expected.contains(&false), "{name}: {expected:?}");
        assert!(operations.contains(&format!("\n### {name}\n")), "{name} is not in OPERATIONS");
        let runbook = format!("docs/OPERATIONS.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], runbook);
    }
    assert_eq!(operations.matches("\n### Tidings").count(), rules.len());
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let places = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"].map(PathBuf::from);
    let Some(analyze) = program(places) else { return };
    // systemd looks whether the program is there.
    let unit = read("deploy/systemd/tidings.service");
    let program = tidings_tests::tidings().canonicalize().unwrap();
    let unit = unit.replace("/usr/local/bin/tidings", program.to_str().unwrap());
    let folder = std::env::temp_dir().join(format!("tidings-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tidings.service");
    fs::write(&path, unit).unwrap();
    run(Command::new(analyze).arg("verify").arg(&path));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_flag_in_the_files_is_one_of_the_agent() {
    let help = Command::new(tidings_tests::tidings()).args(["agent", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let has = |flag: &str| help.lines().any(|line| line.trim_start().starts_with(flag));
    let mut named = 0;
    for file in [
        "deploy/systemd/tidings.service",
        "deploy/systemd/agent.env",
        "deploy/kubernetes/tidings.yaml",
    ] {
        let text = read(file);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for word in lines.flat_map(|line| line.split([' ', '=', '"'])) {
            if word.starts_with("--") && word != "---" {
                assert!(has(word), "{file}: {word}");
                named += 1;
            }
        }
    }
    assert!(named > 12, "{named}");
}

#[test]
fn the_stateful_set_finds_its_pods_and_probes_what_the_agent_serves() {
    let documents = yaml("deploy/kubernetes/tidings.yaml");
    let of = |kind: &str| {
        documents.iter().find(|document| document["kind"] == kind).expect("there is one")
    };
    let (service, set) = (of("Service"), of("StatefulSet"));
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    let pod = &set["spec"]["template"];
    assert_eq!(set["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);
    assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    for kind in ["PodDisruptionBudget", "NetworkPolicy"] {
        let selected = [&of(kind)["spec"]["selector"], &of(kind)["spec"]["podSelector"]];
        let labels = &pod["metadata"]["labels"];
        assert!(selected.iter().any(|selector| &selector["matchLabels"] == labels), "{kind}");
    }

    let container = &pod["spec"]["containers"][0];
    let strings = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let arguments = strings(&container["args"]);
    assert!(
        arguments
            .contains(&format!("--seed={}:7946", service["metadata"]["name"].as_str().unwrap()))
    );
    let variables: BTreeSet<_> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for used in arguments.iter().filter_map(|argument| argument.split("$(").nth(1)) {
        assert!(variables.contains(used.split(')').next().unwrap()), "{used}");
    }
    let agent = Agent::start("a", &[]);
    for probe in ["readinessProbe", "livenessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        assert_eq!(agent.get(path, "*/*"), "ok\n");
    }
    // A leave has the time that it takes at most.
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > tidings::Options::lan().stream_timeout.as_secs());
}

#[test]
fn the_image_is_built_with_a_compiler_that_is_new_enough_and_runs_the_command() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let manifest = read("crates/tidings-cli/Cargo.toml");
    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{}-bookworm AS build", oldest.trim_matches('"')))
    );
    let instructions: Vec<_> = dockerfile
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let known = ["FROM", "WORKDIR", "COPY", "RUN", "EXPOSE", "ENTRYPOINT", "CMD"];
    assert!(instructions.iter().all(|instruction| known.contains(instruction)));
    let entry = dockerfile.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let entry: Vec<String> = serde_json::from_str(entry).unwrap();
    assert!(dockerfile.contains(&format!("/target/release/tidings {}\n", entry[0])));
}
