//! One volume under three generations of containers.

use std::fs;
use std::sync::Arc;

use crate::container::{HARDENED, Place};
use crate::engine::{IMAGE, child_of};

const USER: &str = "1000:100";

#[test]
fn a_home_keeps_what_its_user_did_and_gets_what_a_newer_image_adds() {
    let older = "RUN printf 'one\\n' >/etc/podssh/skel/a && printf 'one\\n' >/etc/podssh/skel/b \
                 && mkdir /etc/podssh/skel/bin && printf '#!/bin/sh\\n' >/etc/podssh/skel/bin/tool \
                 && chmod 755 /etc/podssh/skel/bin/tool";
    let older = child_of(&IMAGE, "older", older);
    let newer = "RUN for f in a b c; do printf 'two\\n' >/etc/podssh/skel/$f; done";
    let newer = child_of(&older, "newer", newer);
    let place = Arc::new(Place::new());
    fs::create_dir(place.home().join("lost+found")).expect("as on a fresh file system");

    let first = place.start(&older, USER, HARDENED);
    let prompt =
        "bash -ic 'echo ${PS1:+prompt}' 2>/dev/null; cat a b; bin/tool && stat -c %a bin/tool";
    assert_eq!(first.session(prompt), "prompt\none\none\n755");
    let host_key = first.session("cat ~/.local/state/podssh/host_keys/*.pub");
    first.session("echo mine >>a; rm b .bash_logout; echo '# mine' >>.bashrc; echo kept >own");
    assert_eq!(first.status()["last_end"]["how"], "unknown");
    assert_eq!(first.stop(), "0");
    drop(first);

    let second = place.start(&newer, USER, HARDENED);
    let look = "cat a c own; tail -n 1 .bashrc; ls b .bash_logout 2>/dev/null || echo gone";
    assert_eq!(second.session(look), "one\nmine\ntwo\nkept\n# mine\ngone");
    assert_eq!(
        second.session("cat ~/.local/state/podssh/host_keys/*.pub"),
        host_key
    );
    assert_eq!(second.status()["last_end"]["reason"], "SIGTERM");
    second.session("rm c");
    second.signal("KILL");
    second.exit_code();
    drop(second);

    let third = place.start(&newer, USER, HARDENED);
    assert_eq!(
        third.session("ls -d b c .bash_logout 2>/dev/null; cat a"),
        "one\nmine"
    );
    assert_eq!(
        third.session("ls -ld lost+found | cut -c1-10; ls -A lost+found"),
        "drwxr-sr-x"
    );
    assert_eq!(third.status()["last_end"]["how"], "cut");
    assert_eq!(
        third.session("cat ~/.local/state/podssh/host_keys/*.pub"),
        host_key
    );
}
