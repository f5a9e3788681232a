//! The image's flavours: one with root for the asking, one that looks for a CUDA toolkit.

use std::sync::Arc;

use crate::container::{Container, HARDENED, Place};
use crate::engine::{CUDA, IMAGE, SUDO, child_of};

const USER: &str = "1000:100";

#[test]
fn sudo_gives_root_where_the_pod_allows_it_and_the_plain_image_never_does() {
    let open = ["--tmpfs", "/tmp:mode=1777,exec"];
    let container = Arc::new(Place::new()).start(&SUDO, USER, &open);
    assert_eq!(
        container.session("sudo -n id -u; sudo -n -u jovyan id -u"),
        "0\n1000"
    );
    assert_eq!(
        container.session("grep CapEff /proc/1/status"),
        "CapEff:\t0000000000000000"
    );
    drop(container);

    let hardened = Container::start(&SUDO, USER, &[]);
    let output = hardened.client.ssh(["sudo -n true"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("no new privileges"),
        "{said}"
    );
    drop(hardened);

    let plain = Arc::new(Place::new()).start(&IMAGE, USER, &open);
    assert!(!plain.client.ssh(["sudo -n true"]).status.success());
}

#[test]
fn a_cuda_toolkit_is_found_in_every_kind_of_session() {
    // A stand-in for the toolkit: a program, and a library that only LD_LIBRARY_PATH leads to.
    let toolkit = "RUN install -d /usr/local/cuda/bin /usr/local/cuda/lib64 \
                   && printf '#!/bin/sh\\necho nvcc here\\n' >/usr/local/cuda/bin/nvcc \
                   && chmod 755 /usr/local/cuda/bin/nvcc \
                   && cp \"$(ldconfig -p | sed -n 's/.*libz.so.1 .*=> //p' | head -n 1)\" /usr/local/cuda/lib64/libcudart.so.0";
    let image = child_of(&CUDA, "toolkit", toolkit);
    let place = Arc::new(Place::new());
    let home = format!("{}:/home/jovyan", place.home().display());
    let find = "nvcc; python3 -c 'import ctypes; ctypes.CDLL(\"libcudart.so.0\"); print(\"loaded\")'; \
                echo $CUDA_HOME $NVIDIA_VISIBLE_DEVICES $NVIDIA_DRIVER_CAPABILITIES";
    let found = "nvcc here\nloaded\n/usr/local/cuda all compute,utility\n";
    let side = format!("({find}) >side.new; mv side.new side; exec sleep 600");
    let container = place.start_at(&home, &image, USER, HARDENED, &["sh", "-c", &side]);

    assert_eq!(container.session(find), found.trim_end());
    let kinds: [(&str, &[&str], &str); 3] = [
        ("a login shell", &["workspace"], ""),
        ("exec on a terminal", &["-tt", "workspace", find], "exec"),
        (
            "a shell that a login shell starts",
            &["workspace"],
            "bash -lc ",
        ),
    ];
    for (kind, args, how) in kinds {
        let stdin = match how {
            "exec" => String::new(),
            "" => format!("{find}\nexit\n"),
            inner => format!("{inner} {}\nexit\n", quoted(find)),
        };
        let mut command = container.client.command("ssh");
        let output = crate::harness::process::run(
            command.args(args),
            stdin.as_bytes(),
            crate::harness::process::PATIENCE,
        );
        let screen = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        assert!(screen.contains(found), "{kind}: {output:?}");
    }
    let side = crate::harness::process::eventually(
        "the side process has looked",
        crate::harness::process::PATIENCE,
        || std::fs::read_to_string(container.home().join("side")).ok(),
    );
    assert_eq!(side, found);
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
