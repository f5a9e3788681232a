"""Speaks the connection protocol of SSH by hand: sends what the steps on standard input say and
prints every message that comes back, one a line, in order.

usage: wire.py HOST PORT USER KEY HOME < STEPS

Form feeds separate conversations, there and in the output; each has a connection of its own.

A step a line, words as a shell would split them:
  openssh              the identification is OpenSSH's, for which there are extensions
  open [TYPE ARGS]     CHANNEL_OPEN (a session without TYPE); waits for the answer
  channel N            the channel that later steps are about; each open moves to the new one
  req TYPE ARGS        a channel request that wants a reply; waits for it
  collect COMMAND      runs it on the open channel and prints nothing but its output
  tell TYPE ARGS       one that wants none
  global TYPE ARGS     a global request; waits for the answer
  data TEXT, ext TEXT, eof, close
  malformed TYPE       a CHANNEL_OPEN that ends too early
  announced, window    prints the server's own global requests, or the window a channel opened with
  wait KIND            until data, eof, exit, close, opened (by the server) or gone has come
  quiet SECONDS        prints what comes in that time
  listen, dial, unix   the far end of a forward: a listener ($PORT), a connection to the port the
                       server bound ($BOUND), or to the unix socket given
  accept, say TEXT, shut, hear     on that connection
$PORT, $BOUND, $HOME are replaced in every word. Window adjustments are not printed.
"""

import ast
import concurrent.futures
import functools
import queue
import shlex
import socket
import struct
import sys
import time

import paramiko
from paramiko.message import Message

PATIENCE = 10
NAMES = {81: "success", 82: "failure", 99: "success", 100: "failure"}


class Wire(paramiko.Transport):
    """paramiko's key exchange and login; the connection protocol goes to a queue unread."""

    def divert(self, inbox):
        self.inbox = inbox
        for number in range(80, 101):
            self._handler_table[number] = functools.partial(self._keep, number)

    def _keep(self, number, message):
        self.inbox.put((number, message.get_remainder()))


class Talk:
    def __init__(self, wire, home):
        self.wire = wire
        self.channels = []  # our number -> theirs
        self.current = -1
        self.words = {"$HOME": home}
        self.last = None  # (channel, kind) of the line that more data may be added to
        self.seen = []  # kinds of messages not yet waited for
        self.socket = self.listener = None
        self.printed = []
        self.announced = []  # global requests of the server without a wish for a reply
        self.asked = ""

    def run(self, line):
        words = shlex.split(line)
        self.asked = " ".join(words[1:])
        for name, value in self.words.items():
            words = [word.replace(name, value) for word in words]
        getattr(self, "do_" + words[0])(*words[1:])

    # --- out

    def send(self, number, *fields):
        message = Message()
        message.add_byte(bytes([number]))
        for field in fields:
            if isinstance(field, bool):
                message.add_boolean(field)
            elif isinstance(field, int):
                message.add_int(field)
            else:
                message.add_string(field)
        self.wire._send_user_message(message)

    def theirs(self):
        return self.channels[self.current]

    def do_open(self, kind="session", *args):
        self.channels.append(None)
        self.current = len(self.channels) - 1
        fields = []
        if kind == "direct-tcpip":
            fields = [args[0], int(args[1]), "127.0.0.1", 4242]
        elif kind == "direct-streamlocal@openssh.com":
            fields = [args[0], "", 0]
        elif kind == "x11":
            fields = ["127.0.0.1", 4242]
        elif kind == "forwarded-tcpip":
            fields = ["localhost", 4242, "127.0.0.1", 4242]
        self.send(90, kind, self.current, 1 << 21, 1 << 15, *fields)
        self.until("open", "gone")

    def do_collect(self, command):
        """Runs a command on the open channel and prints only what it wrote."""
        printed, self.printed = self.printed, []
        self.request(True, "exec", command)
        self.do_wait("close")
        self.do_close()
        self.flush()
        texts = [line.split("data: ", 1)[1] for line in self.printed if "data: " in line]
        self.printed = printed
        self.show("".join(ast.literal_eval("b" + text).decode("latin1") for text in texts))

    def do_openssh(self):
        pass

    def do_channel(self, number):
        self.current = int(number)

    def request(self, want_reply, kind, *args):
        fields = list(args)
        if kind == "pty-req":
            modes = b"".join(
                struct.pack(">BI", *map(int, pair.split("=")))
                for pair in (args[5] if len(args) > 5 else "").split(",")
                if pair
            )
            fields = [args[0], *map(int, args[1:5]), modes + b"\0"]
        elif kind == "window-change":
            fields = [int(arg) for arg in args]
        elif kind == "break":
            fields = [int(args[0])]
        elif kind == "x11-req":
            fields = [False, "MIT-MAGIC-COOKIE-1", "00" * 16, 0]
        self.send(98, self.theirs(), kind, want_reply, *fields)
        if want_reply:
            self.asked = kind  # a command is long enough once
            self.until("reply", "close", "gone")

    def do_req(self, *args):
        self.request(True, *args)

    def do_tell(self, *args):
        self.request(False, *args)

    def do_global(self, kind, *args):
        fields = list(args)
        if kind.endswith("tcpip-forward"):
            fields = [args[0], int(args[1])]
        self.send(80, kind, True, *fields)
        self.until("answer", "gone")

    def do_data(self, text):
        self.send(94, self.theirs(), text.encode().decode("unicode_escape").encode("latin1"))

    def do_ext(self, text):
        self.send(95, self.theirs(), 1, text)

    def do_nul(self):
        self.request(True, "exec", "echo a\0; echo b")

    def do_window(self):
        self.show("window {}, packet {}".format(*self.opened_with))

    def do_announced(self):
        self.show(f"announced: {self.announced}")

    def do_malformed(self, kind):
        """A channel open without the fields its type has."""
        self.channels.append(None)
        self.send(90, kind, len(self.channels) - 1, 1 << 21, 1 << 15)
        self.until("open", "gone")

    def do_eof(self):
        self.send(96, self.theirs())

    def do_close(self):
        self.send(97, self.theirs())

    # --- in

    def do_wait(self, kind):
        if kind in self.seen:
            self.seen.remove(kind)
        else:
            self.until(kind, "gone")

    def do_quiet(self, seconds):
        end = time.monotonic() + float(seconds)
        while (left := end - time.monotonic()) > 0:
            self.receive(left)

    def until(self, *kinds):
        self.seen = []
        end = time.monotonic() + PATIENCE
        while not any(kind in self.seen for kind in kinds):
            if time.monotonic() > end:
                self.show(f"(no {kinds[0]} within {PATIENCE} s)")
                raise TimeoutError
            self.receive(0.2)
        self.seen = [kind for kind in self.seen if kind not in kinds]

    def receive(self, patience):
        try:
            number, payload = self.wire.inbox.get(timeout=patience)
        except queue.Empty:
            if not self.wire.is_active() and self.wire.inbox.empty() and "gone" not in self.seen:
                self.show("connection gone")
                self.seen.append("gone")
                time.sleep(min(patience, 0.05))
            return
        message = Message(payload)
        if number in (80, 81, 82, 90):
            getattr(self, f"on_{number}", self.on_answer)(number, message)
        else:
            channel = message.get_int()
            getattr(self, f"on_{number}", self.on_other)(number, channel, message)

    def on_80(self, number, message):
        kind, want = message.get_text(), message.get_boolean()
        if want:
            self.show(f"server's global request {kind}")
            self.send(82)
        else:
            self.announced.append(kind)

    def on_answer(self, number, message):
        more = ""
        if number == 81 and message.get_remainder():
            bound = message.get_int()
            self.words["$BOUND"] = str(bound)
            more = " with a port"
        self.show(f"{self.asked}: {NAMES[number]}{more}")
        self.seen.append("answer")

    def on_90(self, number, message):
        kind, theirs = message.get_text(), message.get_int()
        message.get_int(), message.get_int()
        more = ""
        if kind == "forwarded-tcpip":
            host, port = message.get_text(), message.get_int()
            more = f" {host} {self.words.get('$BOUND') == str(port)} from {message.get_text()}"
        elif kind == "forwarded-streamlocal@openssh.com":
            more = " " + message.get_text()
        elif kind == "x11":
            more = " from " + message.get_text()
        self.channels.append(theirs)
        self.current = len(self.channels) - 1
        self.send(91, theirs, self.current, 1 << 21, 1 << 15)
        self.show(f"server opens {kind}{more}")
        self.seen.append("opened")

    def on_91(self, number, channel, message):
        self.channels[channel] = message.get_int()
        window, packet = message.get_int(), message.get_int()
        self.show("open: confirmed")
        self.opened_with = (window, packet)
        self.seen.append("open")

    def on_92(self, number, channel, message):
        code = message.get_int()
        self.show(f"open: refused, code {code}: {message.get_text()}")
        self.seen.append("open")

    def on_93(self, number, channel, message):
        pass

    def on_94(self, number, channel, message):
        kind = "data"
        if number == 95:
            kind = f"extended data {message.get_int()}"
        text = message.get_binary()
        self.send(93, self.channels[channel], len(text))
        line = f"{self.who(channel)}{kind}: "
        if self.last == line:
            self.held += text
        else:
            self.flush()
            self.last, self.held = line, text
        self.seen.append("data")

    on_95 = on_94

    def who(self, channel):
        return f"[{channel}] " if len(self.channels) > 1 else ""

    def flush(self):
        if self.last:
            line, self.last = self.last, None
            self.printed.append(line + repr(self.held)[1:])

    def show(self, text):
        self.flush()
        self.printed.append(text)

    def on_96(self, number, channel, message):
        self.show(f"{self.who(channel)}eof")
        self.seen.append("eof")

    def on_97(self, number, channel, message):
        self.show(f"{self.who(channel)}close")
        self.seen.append("close")

    def on_98(self, number, channel, message):
        kind, want = message.get_text(), message.get_boolean()
        more = " (wants a reply)" if want else ""
        if kind == "exit-status":
            more += f" {message.get_int()}"
        elif kind == "exit-signal":
            name, core, text = message.get_text(), message.get_boolean(), message.get_text()
            more += f" {name} core={core} {text!r}"
        self.show(f"{self.who(channel)}{kind}{more}")
        if want:
            self.send(100, self.channels[channel])
        self.seen.append("exit" if kind.startswith("exit-") else kind)

    def on_other(self, number, channel, message):
        self.show(f"{self.who(channel)}{self.asked}: {NAMES[number]}")
        self.seen.append("reply")

    # --- the far end of a forward

    def do_listen(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.words["$PORT"] = str(self.listener.getsockname()[1])

    def do_deaf(self):
        self.do_listen()
        self.listener.close()

    def do_accept(self):
        self.listener.settimeout(PATIENCE)
        self.socket, _ = self.listener.accept()

    def do_dial(self, host="127.0.0.1"):
        try:
            self.socket = socket.create_connection((host, int(self.words["$BOUND"])), 5)
        except OSError as error:
            self.show(f"dial {host}: {error.strerror}")

    def do_unix(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(path)
        except OSError as error:
            self.show(f"dial: {error.strerror}")

    def do_say(self, text):
        self.socket.sendall(text.encode())

    def do_shut(self):
        self.socket.shutdown(socket.SHUT_WR)

    def do_hang(self):
        self.socket.close()

    def do_hear(self):
        """What the far end reads up to the end of file, printed as one line."""
        self.socket.settimeout(PATIENCE)
        heard = b""
        try:
            while some := self.socket.recv(65536):
                heard += some
        except OSError as error:
            heard += f" ({error})".encode()
        self.show(f"far end reads {heard!r} and then the end")


def converse(host, port, user, key, home, steps):
    """One connection; what it printed."""
    wire = Wire((host, int(port)))
    if "openssh" in steps:
        wire.local_version = "SSH-2.0-OpenSSH_9.2p1"
    wire.divert(queue.Queue())
    wire.start_client(timeout=PATIENCE)
    talk = Talk(wire, home)
    wire.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
    # sshd announces its host keys as soon as the login is done, in the midst of other things.
    talk.do_quiet(0.1)
    try:
        for line in steps:
            talk.run(line)
    except Exception as error:
        talk.show(f"({type(error).__name__} at {line!r}: {error})")
    talk.flush()
    wire.close()
    return "".join(f"{line}\n" for line in talk.printed)


def main():
    conversations = [text.splitlines() for text in sys.stdin.read().split("\f")]
    run = functools.partial(converse, *sys.argv[1:])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sys.stdout.write("\f".join(pool.map(run, conversations)))


main()
