//! Emacs TRAMP: the login it does on a terminal with `TERM=dumb`, and Emacs itself in batch mode.

use std::fs;
use std::path::Path;

use crate::harness::daemon::{Daemon, Setup};
use crate::support::{Conversation, LONG, noise, scratch, succeeds};

fn with_motd(setup: &mut Setup) {
    let motd = setup.home().join(".hello");
    fs::write(&motd, "Welcome # to > this $ place\n").expect("a file");
    setup.args(["--motd".as_ref(), motd.as_os_str()]);
}

/// TRAMP's own idea of a prompt.
fn is_prompt(text: &str) -> bool {
    text.trim_end_matches(' ').ends_with(['$', '#', '>'])
}

#[test]
fn a_dumb_terminal_gets_a_prompt_and_no_message_of_the_day() {
    let daemon = Daemon::start(with_motd);
    let mut ssh = daemon.client.command("ssh");
    // What tramp-login-args make of it; the terminal is the server's, ssh itself is on pipes here.
    ssh.args(["-e", "none", "-tt", "workspace"])
        .env("TERM", "dumb");
    let mut shell = Conversation::start(&mut ssh);
    let login = shell.expect("a prompt", is_prompt);
    assert!(!login.contains("Welcome"), "{login}");
    assert!(
        !login.contains('\u{1b}'),
        "escapes on a dumb terminal: {login:?}"
    );

    // Then TRAMP replaces the shell and sets up a prompt of its own.
    shell.say(
        "exec env TERM='dumb' INSIDE_EMACS='28.2,tramp:2.5.3' ENV='' HISTFILE=~/.tramp_history \
         PROMPT_COMMAND='' PS1=\\#\\$\\  PS2='' PS3='' /bin/sh -i\n",
    );
    shell.expect("the new shell's prompt", |text| {
        text.rsplit('\n')
            .next()
            .is_some_and(|line| line.ends_with("#$ "))
    });
    shell.say("stty -inlcr -onlcr -echo kill '^U' erase '^H'\n");
    shell.expect("a prompt", |text| text.ends_with("#$ "));
    shell.say("PS1='///7a6f#$'\n");
    shell.expect("its prompt", |text| text.ends_with("///7a6f#$"));
    shell.say("echo \"`uname -sr`\"; (test -d \"$HOME\"; echo tramp_exit_status $?)\n");
    let answer = shell.expect("the answer", |text| text.ends_with("///7a6f#$"));
    assert!(answer.starts_with("Linux "), "{answer:?}");
    assert!(answer.contains("\ntramp_exit_status 0\n"), "{answer:?}");
    assert!(!answer.contains('\r'), "-onlcr was ignored: {answer:?}");
    shell.say("exit 5\n");
    assert_eq!(shell.end(), Some(5), "{}", shell.said());
}

#[test]
fn any_other_terminal_gets_the_message_of_the_day() {
    let daemon = Daemon::start(with_motd);
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-tt", "workspace"]).env("TERM", "xterm");
    let mut shell = Conversation::start(&mut ssh);
    shell.expect("the message", |text| {
        text.contains("Welcome # to > this $ place\r\n")
    });
    shell.say("exit\n");
    assert_eq!(shell.end(), Some(0));
}

/// Reads, writes, lists, copies inline and out of band, and runs processes, as a user of Emacs does.
const EMACS: &str = r#"
(require 'tramp)
(setq tramp-verbose 3
      tramp-use-ssh-controlmaster-options nil
      tramp-copy-size-limit 100000
      password-cache nil
      auth-sources nil
      vc-handled-backends nil
      create-lockfiles nil
      make-backup-files nil)
(defun check (what holds) (unless holds (error "Not so: %s" what)))
(defun at (name) (concat "/" method ":workspace:" home "/" name))
(dolist (method '("ssh" "sshx" "scp"))
  (let ((default-directory (at "")))
    (make-directory (at method))
    (with-temp-buffer
      (insert "first\nünïcode\n")
      (let ((coding-system-for-write 'utf-8)) (write-region nil nil (at (concat method "/text")))))
    (check "the text" (equal (with-temp-buffer (insert-file-contents (at (concat method "/text")))
                                               (buffer-string)) "first\nünïcode\n"))
    (copy-file local (at (concat method "/big")))
    (copy-file (at (concat method "/big")) (concat local "." method))
    (set-file-modes (at (concat method "/big")) #o751)
    (check "modes" (= (file-modes (at (concat method "/big"))) #o751))
    (rename-file (at (concat method "/big")) (at (concat method "/bigger")))
    (check "names" (equal (directory-files (at method) nil "^[^.]") '("bigger" "text")))
    (with-temp-buffer
      (check "status" (= 3 (process-file "sh" nil t nil "-c" "echo $((6 * 7)); exit 3")))
      (check "output" (equal (buffer-string) "42\n")))
    (check "the shell" (equal (shell-command-to-string "echo $TERM") "dumb\n"))
    (with-temp-buffer
      (let ((process (start-file-process "long" (current-buffer) "sh" "-c" "read x; echo got $x")))
        (set-process-sentinel process #'ignore)
        (process-send-string process "line\n")
        (with-timeout (60 (error "The process does not end: %s" (buffer-string)))
          (while (process-live-p process) (accept-process-output process 1)))
        ;; Emacs may hear of the end before it has read what came last.
        (while (accept-process-output process 1))
        (check (buffer-string) (string-match "got line" (buffer-string)))))
    (message "%s: done" method)))
"#;

#[test]
fn emacs_edits_copies_and_runs_processes_by_ssh_sshx_and_scp() {
    assert!(
        Path::new("/usr/bin/emacs").exists(),
        "emacs is missing: run scripts/install test"
    );
    let daemon = Daemon::start(|setup| {
        with_motd(setup);
        setup.named();
    });
    let local = scratch();
    let big = local.path().join("big");
    fs::write(&big, noise(300_000, 1)).expect("a file");
    let script = local.path().join("tramp.el");
    fs::write(&script, EMACS).expect("a file");
    // Emacs starts `ssh` and `scp` by name: wrappers that know the configuration come first in PATH.
    let bin = local.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    for program in ["ssh", "scp"] {
        let text = format!(
            "#!/bin/sh\nexec /usr/bin/{program} -F {} \"$@\"\n",
            daemon.client.config.display()
        );
        let path = bin.join(program);
        fs::write(&path, text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("chmod");
    }
    let mut emacs = std::process::Command::new("emacs");
    emacs
        .args(["-Q", "--batch", "--eval"])
        .arg(format!(
            "(setq home {:?} local {:?})",
            daemon.home(),
            big.display().to_string()
        ))
        .arg("-l")
        .arg(&script)
        .env("HOME", local.path())
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
        )
        .env("LC_ALL", "C.UTF-8")
        .env_remove("SSH_AUTH_SOCK");
    succeeds(&mut emacs, b"", LONG);
    for method in ["ssh", "sshx", "scp"] {
        let there = fs::read(daemon.home().join(method).join("bigger")).expect("the copy");
        assert!(there == noise(300_000, 1), "{method}: there");
        let back = fs::read(big.with_extension(method)).expect("the copy of the copy");
        assert!(back == noise(300_000, 1), "{method}: back");
    }
}
