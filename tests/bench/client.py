"""The OpenSSH client: one configuration for every row, no agent, no user files."""

import contextlib
import os
import subprocess
import time

LIMIT = 300.0


class Failed(Exception):
    """A client did not do what it was asked to."""


class Client:
    """Makes command lines and runs them."""

    def __init__(self, stage):
        self.stage = stage
        self.config = stage.path / "ssh_config"
        options = {
            "User": stage.user,
            "HostName": "127.0.0.1",
            "IdentityFile": stage.identity,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            "KexAlgorithms": "curve25519-sha256",
            "LogLevel": "ERROR",
            "ControlPath": "none",
        }
        self.config.write_text("".join(f"{key} {value}\n" for key, value in options.items()))

    def line(self, program, server, *options):
        """`program` with the options that reach `server`; a cipher unless one is named."""
        options = list(options)
        if not any(str(option).startswith("Ciphers=") for option in options):
            options += ["-o", "Ciphers=aes256-gcm@openssh.com"]
        return [program, "-F", self.config, "-o", f"Port={server.port}", *options]

    def ssh(self, server, *options, command=None):
        return self.line("ssh", server, *options) + ["workspace"] + ([command] if command else [])

    def run(self, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=None):
        """Seconds it took; raises unless it exits with 0."""
        start = time.monotonic()
        feed = {"input": text} if text is not None else {"stdin": stdin}
        done = subprocess.run(arguments, stdout=stdout, stderr=subprocess.PIPE, timeout=LIMIT, **feed)
        took = time.monotonic() - start
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-400:]
            raise Failed(f"{os.path.basename(str(arguments[0]))} ended with {done.returncode}: {said}")
        return took

    def sftp(self, server, batch, *options):
        """Seconds a batch of sftp commands took."""
        line = self.line("sftp", server, "-q", *options) + ["-b", "-", "workspace"]
        return self.run(line, text=(batch + "\n").encode())

    @contextlib.contextmanager
    def background(self, arguments, **streams):
        """A client that runs for as long as the block."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | streams
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, **streams)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def master(self, server, *options):
        """Arguments that send further clients over one shared connection to `server`."""
        control = self.stage.path / f"control-{server.port}"
        line = self.ssh(server, "-M", "-N", "-o", f"ControlPath={control}", *options)
        with self.background(line):
            wait_for(control.exists, f"the shared connection to {server.title}")
            yield ["ssh", "-F", self.config, "-o", f"ControlPath={control}", "-o", f"Port={server.port}"]


def wait_for(condition, what, patience=20.0):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited {patience:.0f} s for {what}")
        time.sleep(0.002)
