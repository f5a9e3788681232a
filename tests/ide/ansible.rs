//! Ansible with a persistent control connection, by each of its ways to transfer files.

use std::fs;
use std::process::Command;

use crate::harness::daemon::Daemon;
use crate::harness::tools::python;
use crate::support::{LONG, noise, scratch, succeeds};

/// Three names for one workspace: a transfer method each, pipelining off and on.
const INVENTORY: &str = "\
[all]
by-sftp ansible_ssh_transfer_method=sftp
by-scp ansible_ssh_transfer_method=scp
by-pipe ansible_ssh_transfer_method=piped
pipelined ansible_ssh_transfer_method=piped ansible_ssh_pipelining=true

[all:vars]
ansible_host=workspace
ansible_python_interpreter=/usr/bin/python3
";

const PLAYBOOK: &str = r#"
- hosts: all
  gather_facts: true
  gather_subset: [min]
  tasks:
    - ansible.builtin.ping:
    - ansible.builtin.copy:
        src: payload
        dest: "~/{{ inventory_hostname }}"
        mode: "0741"
    - ansible.builtin.copy:
        content: "ünïcode of {{ ansible_facts['system'] }}\n"
        dest: "~/{{ inventory_hostname }}.text"
    - ansible.builtin.command: sh -c 'echo out; echo err >&2; exit 3'
      register: command
      failed_when: command.rc != 3 or command.stdout != 'out' or command.stderr != 'err'
      changed_when: false
    - ansible.builtin.shell: cat | wc -c
      args:
        stdin: "{{ 'x' * 200000 }}"
        stdin_add_newline: false
      register: count
      failed_when: count.stdout | trim != '200000'
      changed_when: false
    - ansible.builtin.fetch:
        src: "~/{{ inventory_hostname }}"
        dest: "back/{{ inventory_hostname }}"
        flat: true
    - ansible.builtin.stat:
        path: "~/{{ inventory_hostname }}"
      register: file
      failed_when: file.stat.mode != '0741'
"#;

#[test]
fn ansible_pings_copies_runs_and_fetches_by_sftp_scp_and_pipe() {
    let daemon = Daemon::start(|_| ());
    let local = scratch();
    let at = |name: &str| local.path().join(name);
    let payload = noise(3_000_000, 1);
    fs::write(at("payload"), &payload).expect("a file");
    fs::write(at("inventory"), INVENTORY).expect("a file");
    fs::write(at("play.yml"), PLAYBOOK).expect("a file");
    fs::create_dir(at("control")).expect("a directory");

    let mut ansible = Command::new(python());
    ansible
        .args([
            "-m",
            "ansible",
            "playbook",
            "-vv",
            "-i",
            "inventory",
            "play.yml",
        ])
        .current_dir(local.path())
        .env("HOME", local.path())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_FORKS", "4")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_SSH_CONTROL_PATH_DIR", at("control"))
        .env(
            "ANSIBLE_SSH_ARGS",
            format!(
                "-F {} -C -o ControlMaster=auto -o ControlPersist=60s",
                daemon.client.config.display()
            ),
        )
        .env_remove("SSH_AUTH_SOCK");
    let play = succeeds(&mut ansible, b"", LONG);
    for host in ["by-sftp", "by-scp", "by-pipe", "pipelined"] {
        let recap = play
            .lines()
            .find(|line| line.starts_with(host) && line.contains("ok="));
        let recap = recap.unwrap_or_else(|| panic!("no recap of {host}:\n{play}"));
        assert!(recap.contains("unreachable=0    failed=0"), "{play}");
        assert!(recap.contains("ok=8"), "{play}");
        let there = fs::read(daemon.home().join(host)).expect("the copy");
        assert!(there == payload, "{host}");
        let back = fs::read(at("back").join(host)).expect("what came back");
        assert!(back == payload, "{host}");
        let text = daemon.home().join(format!("{host}.text"));
        let text = fs::read_to_string(text).expect("the text");
        assert_eq!(text, "ünïcode of Linux\n");
    }
    // One master each per host name, which differ in nothing but name: far fewer logins than tasks.
    let log = daemon.log();
    let logins = log.matches("logged in").count();
    assert!(logins <= 4, "{logins} logins\n{log}");
}
