# A raw client: paramiko does key exchange, login and encryption; every message of the connection
# protocol is then written by hand, and those that come back wait in a queue.
import paramiko, queue
from paramiko import Message

OPEN, CONFIRMATION, FAILURE, ADJUST, DATA, EXTENDED = 90, 91, 92, 93, 94, 95
EOF, CLOSE, REQUEST, SUCCESS, REFUSED = 96, 97, 98, 99, 100
GLOBAL, GLOBAL_SUCCESS, GLOBAL_FAILURE = 80, 81, 82
UNIMPLEMENTED, DISCONNECT = 3, 1

def pack(*fields):
    """bytes and str are strings of the protocol, int is uint32, bool is boolean."""
    out = b""
    for field in fields:
        if isinstance(field, bool): out += bytes([field])
        elif isinstance(field, int): out += struct.pack(">I", field)
        else:
            field = field.encode() if isinstance(field, str) else field
            out += struct.pack(">I", len(field)) + field
    return out

class Wire:
    def __init__(self):
        self.queue = queue.Queue()
        self.numbers = iter(range(1 << 31))
        self.transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
        read = self.transport.packetizer.read_message
        def read_message():
            while True:
                try:
                    kind, message = read()
                except BaseException:
                    self.queue.put((None, None))
                    raise
                if kind == DISCONNECT:
                    self.queue.put((kind, message))
                if 80 <= kind <= 127 or kind >= 192 or kind == UNIMPLEMENTED:
                    self.queue.put((kind, message))
                    continue
                return kind, message
        self.transport.packetizer.read_message = read_message
        self.transport.start_client(timeout=20)
        key = paramiko.PKey.from_path(KEY)
        self.transport.auth_publickey(USER, key)
        assert self.transport.is_authenticated()

    def send(self, kind, *fields):
        message = Message()
        message.add_bytes(bytes([kind]) + pack(*fields))
        self.transport._send_message(message)

    def receive(self, patience=20):
        while True:
            kind, message = self.queue.get(timeout=patience)
            if kind == GLOBAL: # hostkeys-00 and keepalives
                name = message.get_text()
                if message.get_boolean(): self.send(GLOBAL_FAILURE)
                continue
            return kind, message

    def expect(self, *kinds):
        """The next message, which has to be one of these; window adjustments are skipped."""
        while True:
            kind, message = self.receive()
            if kind in kinds: return kind, message
            assert kind == ADJUST, "expected %s, found %s" % (kinds, kind)

    def ended(self):
        """Whether the daemon ends the connection, whatever it says before."""
        while True:
            kind, _ = self.receive()
            if kind in (None, DISCONNECT): return True

    def open(self, kind="session", window=1 << 21, packet=32768, *rest):
        mine = next(self.numbers)
        self.send(OPEN, kind, mine, window, packet, *rest)
        found, message = self.expect(CONFIRMATION, FAILURE)
        assert message.get_int() == mine
        if found == FAILURE: return None
        return message.get_int()

    def request(self, channel, name, *rest):
        """A channel request that wants a reply: True when granted."""
        self.send(REQUEST, channel, name, True, *rest)
        kind, _ = self.expect(SUCCESS, REFUSED)
        return kind == SUCCESS

    def to_the_end(self, *kinds):
        """Messages up to the channel's CLOSE: output, kinds in order, exit status."""
        output, order, status = b"", [], None
        while True:
            kind, message = self.receive()
            assert kind is not None, "the connection ended"
            if kind == ADJUST: continue
            order.append(kind)
            message.get_int()
            if kind == DATA: output += message.get_binary()
            if kind == REQUEST:
                name = message.get_text(); message.get_boolean()
                if name == "exit-status": status = message.get_int()
                else: status = message.get_text()
            if kind == CLOSE: return output, order, status

    def works(self):
        """Whether a program still runs on this connection."""
        channel = self.open()
        assert channel is not None
        assert self.request(channel, "exec", "echo alive")
        output, _, status = self.to_the_end()
        self.send(CLOSE, channel)
        return output == b"alive\n" and status == 0

def resident():
    with open("/proc/%d/status" % PID) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
