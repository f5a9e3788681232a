//! Start hooks of a child image, docker-stacks' among them.

use std::sync::Arc;

use crate::container::{HARDENED, Place};
use crate::engine::{IMAGE, child_of};
use crate::harness::process::{PATIENCE, eventually};
use crate::terminal::Terminal;

const USER: &str = "1000:100";

#[test]
fn hooks_of_a_child_image_run_in_order_and_its_cmd_sees_what_they_export() {
    let hooks = r#"RUN install -d /usr/local/bin/start-notebook.d /usr/local/bin/before-notebook.d \
 && printf '#!/bin/sh\necho 10 >>~/order\n' >/etc/podssh/init.d/10-image \
 && printf '#!/bin/sh\necho failed to start >&2\nexit 3\n' >/etc/podssh/init.d/20-fails \
 && printf '#!/bin/sh\nsleep 3600\n' >/etc/podssh/init.d/30-hangs \
 && printf 'export FROM_STACKS=yes\necho start >>~/order\n' >/usr/local/bin/start-notebook.d/10.sh \
 && printf '#!/bin/sh\necho before $FROM_STACKS >>~/order\n' >/usr/local/bin/before-notebook.d/10-run \
 && chmod 755 /etc/podssh/init.d/* /usr/local/bin/before-notebook.d/10-run
ENV PODSSH_HOOK_TIMEOUT=2s
CMD ["bash", "-c", "echo cmd $FROM_STACKS >>~/order; exec sleep 600"]"#;
    let image = child_of(&IMAGE, "hooks", hooks);
    let place = Arc::new(Place::new());
    let container = place.start(&image, USER, HARDENED);
    let order = eventually("its CMD has started", PATIENCE, || {
        let order = std::fs::read_to_string(container.home().join("order")).ok()?;
        order.contains("cmd").then_some(order)
    });
    assert_eq!(order, "10\nstart\nbefore yes\ncmd yes\n");
    assert_eq!(container.session("echo $FROM_STACKS"), "yes");

    let status = container.status();
    let outcomes: Vec<_> = (0..5)
        .map(|index| status["hooks"][index]["state"].clone())
        .collect();
    let expected = ["succeeded", "failed", "timed-out", "succeeded", "succeeded"];
    assert_eq!(outcomes, expected, "{status}");
    assert_eq!(status["hooks"][1]["detail"], 3);
    assert_eq!(status["side_process"]["state"], "running");
    let log = container.log();
    assert!(log.contains("failed to start"), "{log}");
    let terminal = Terminal::shell(&container.client);
    let screen = terminal.screen();
    for words in [
        "20-fails: failed with exit code 3",
        "30-hangs: took too long",
    ] {
        assert!(screen.contains(words), "{words} is not in:\n{screen}");
    }
}
