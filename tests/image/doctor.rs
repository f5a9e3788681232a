//! `podssh doctor` in the workspace image: nothing to mend in a pod as it should be, and each fault that a
//! volume or an engine can bring is named.

use std::sync::Arc;

use serde_json::Value;

use crate::container::{Container, HARDENED, Place};
use crate::engine::{IMAGE, docker, docker_ok};

const USER: &str = "1000:100";
/// As the workspace's emptyDir for it has.
const SHARED_MEMORY: &[&str] = &["--shm-size", "256m"];
/// What this machine, not the image, may be short of; each is a warning only.
const THE_MACHINES: [&str; 4] = [
    "resources.cpus",
    "resources.memory",
    "resources.home",
    "kernel.inotify",
];

/// Every check that `podssh doctor --json` makes in a session, and its exit code.
#[track_caller]
fn checks(container: &Container) -> (Vec<Value>, Option<i32>) {
    let output = container.client.ssh(["podssh doctor --json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().expect("checks").clone();
    (checks, output.status.code())
}

/// One check by its name must say these words, with this severity, and how to mend it.
#[track_caller]
fn assert_found(checks: &[Value], id: &str, severity: &str, found: &str) {
    let check = checks.iter().find(|check| check["id"] == id);
    let check = check.unwrap_or_else(|| panic!("no {id} in {checks:#?}"));
    let text = check["found"].as_str().expect("words");
    assert!(text.contains(found), "{check:#}");
    assert_eq!(check["severity"], severity, "{check:#}");
    assert!(check["fix"].is_string(), "{check:#}");
}

/// Faults other than of `expected`.
fn others(checks: &[Value], expected: &[&str]) -> Vec<Value> {
    let fault = |check: &&Value| check["severity"] == "fault";
    let other = |check: &&Value| !expected.iter().any(|id| check["id"] == *id);
    checks.iter().filter(fault).filter(other).cloned().collect()
}

#[test]
fn a_pod_as_it_should_be_has_nothing_to_mend() {
    let container = Container::start(&IMAGE, USER, SHARED_MEMORY);
    let (checks, code) = checks(&container);
    assert_eq!(code, Some(0), "{checks:#?}");
    assert!(checks.len() > 30, "{} checks", checks.len());
    for check in &checks {
        let id = check["id"].as_str().expect("a name");
        let machine = THE_MACHINES.iter().any(|start| id.starts_with(start));
        let explained = machine && check["severity"] == "warning" && check["fix"].is_string();
        assert!(check["severity"] == "ok" || explained, "{check:#}");
    }
    let table = container.session("podssh doctor");
    assert!(table.contains("\n0 faults, "), "{table}");
}

#[test]
fn a_home_that_is_read_only_is_a_fault() {
    let place = Arc::new(Place::new());
    let home = format!("{}:/home/jovyan:ro", place.home().display());
    let options = [HARDENED, SHARED_MEMORY].concat();
    let container = place.start_at(&home, &IMAGE, USER, &options, &[]);
    let (checks, code) = checks(&container);
    assert_eq!(code, Some(69), "{checks:#?}");
    assert_found(&checks, "home.writable", "fault", "read-only mount");
    let others = others(&checks, &["home.writable"]);
    assert!(others.is_empty(), "{others:#?}");
    let table = container.client.ssh(["podssh doctor"]);
    assert_eq!(table.status.code(), Some(69));
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("fix: mount a volume at"), "{table}");
}

#[test]
fn little_shared_memory_is_a_warning() {
    let container = Container::start(&IMAGE, USER, &["--shm-size", "64k"]);
    let (checks, code) = checks(&container);
    assert_eq!(code, Some(0), "a warning is no fault: {checks:#?}");
    assert_found(&checks, "resources.shm", "warning", "/dev/shm has 0 MiB");
}

#[test]
fn a_home_without_room_for_bytes_or_for_files_is_a_fault() {
    for (limit, fill, found) in [
        (
            "size=4m",
            "head -c 9m /dev/zero >full",
            "0 MiB of 4 MiB free",
        ),
        ("size=1g,nr_inodes=200", "touch $(seq 300)", "more files"),
    ] {
        let volume = Volume::new(&format!("{limit},uid=1000,gid=100,mode=755"));
        let place = Arc::new(Place::new());
        let home = format!("{}:/home/jovyan:nocopy", volume.0);
        let options = [HARDENED, SHARED_MEMORY].concat();
        let container = place.start_at(&home, &IMAGE, USER, &options, &[]);
        let output = container.client.ssh([fill]);
        assert!(!output.status.success(), "it is not full: {output:?}");
        let (checks, code) = checks(&container);
        assert_eq!(code, Some(69), "{checks:#?}");
        assert_found(&checks, "resources.home", "fault", found);
        let others = others(&checks, &["resources.home"]);
        assert!(others.is_empty(), "{others:#?}");
    }
}

/// A volume of the engine's with a size; removed on drop, after its container.
struct Volume(String);

impl Volume {
    #[track_caller]
    fn new(options: &str) -> Self {
        let options = format!("o={options}");
        let volume = ["volume", "create", "--opt", "type=tmpfs"];
        let which = ["--opt", "device=tmpfs", "--opt", &options];
        Self(docker_ok(&[&volume[..], &which].concat()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        docker(&["volume", "rm", &self.0]);
    }
}
