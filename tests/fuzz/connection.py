# Records what real clients say after login, then says it again with changes, over real connections.
#
#   record  DIRECTORY   listens, prints its port, and passes clients on to the daemon: paramiko ends the
#                       encryption on both sides; what a client sends is kept, a file a connection
#   fuzz    DIRECTORY... CRASHES SECONDS SEED
#
# A packet is a message of the protocol, decrypted. A recording is packets, each behind its length.
import logging, os, queue, random, socket, struct, sys, threading, time
import paramiko
from paramiko import Message

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
HOST, PORT, USER, KEY = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
# A channel of a type that nobody knows, under a number that nobody else uses, and the refusal.
OPEN, OPEN_FAILURE, NUMBER = 90, 92, struct.pack(">I", 0x5ea15ea1)
PROBE = bytes([OPEN]) + struct.pack(">I", 5) + b"alive" + NUMBER + struct.pack(">II", 1 << 15, 1 << 15)
ANSWER = bytes([OPEN_FAILURE]) + NUMBER
MOST = 30 # seconds for what should be instant on a machine that has nothing else to do


def message(payload):
    out = Message()
    out.add_bytes(payload)
    return out


def intercept(transport, take):
    """Hands messages of the connection protocol to `take` instead of to paramiko."""
    read = transport.packetizer.read_message
    def read_message():
        while True:
            kind, received = read()
            if kind < 80: return kind, received
            take(bytes([kind]) + received.asbytes())
    transport.packetizer.read_message = read_message


def log_in(take, before=None):
    transport = paramiko.Transport(socket.create_connection((HOST, PORT), MOST))
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = MOST
    intercept(transport, take)
    if before: before(transport)
    transport.start_client(timeout=MOST)
    transport.auth_publickey(USER, paramiko.PKey.from_path(KEY))
    assert transport.is_authenticated()
    return transport


class Anybody(paramiko.ServerInterface):
    def check_auth_publickey(self, username, key): return paramiko.AUTH_SUCCESSFUL
    def get_allowed_auths(self, username): return "publickey"


def record(directory):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    own = paramiko.ECDSAKey.generate()
    for number in range(1 << 30):
        client, _ = listener.accept()
        threading.Thread(target=pass_on, args=(client, own, directory, number), daemon=True).start()


def pass_on(client, own, directory, number):
    down, said = queue.Queue(), open("%s/%d" % (directory, number), "wb")
    up = log_in(down.put)
    server = paramiko.Transport(client)
    server.add_server_key(own)
    def heard(payload):
        said.write(struct.pack(">I", len(payload)) + payload)
        said.flush()
        up._send_message(message(payload))
    intercept(server, heard)
    done = threading.Event()
    server.start_server(done, Anybody())
    done.wait(MOST)
    while not server.is_authenticated(): time.sleep(0.005)
    while server.is_active() and up.is_active():
        try: server._send_message(message(down.get(timeout=0.2)))
        except queue.Empty: pass
    # The last answers, then the end.
    while not down.empty(): server._send_message(message(down.get()))
    server.close(); up.close()


def read(path):
    with open(path, "rb") as file: data = file.read()
    packets = []
    while data:
        length, = struct.unpack(">I", data[:4])
        packets.append(data[4:4 + length])
        data = data[4 + length:]
    return packets


NUMBERS = [0, 1, 2, 127, 255, 256, 32768, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

def changed(packet, random, others):
    packet = bytearray(packet)
    at = random.randrange(len(packet)) if packet else 0
    kind = random.randrange(7)
    if kind == 0 and packet: packet[at] ^= 1 << random.randrange(8)
    elif kind == 1 and packet: packet[at] = random.randrange(256)
    elif kind == 2: del packet[at:]
    elif kind == 3: packet[at:at] = random.randbytes(random.randrange(1, 40))
    elif kind == 4: packet[at:at + 4] = struct.pack(">I", random.choice(NUMBERS))
    elif kind == 5: packet = packet[:at] + random.choice(others)[at:]
    else: packet[at:at] = bytes(packet[:at]) * random.randrange(1, 20)
    return bytes(packet[:200000])

def mutated(packets, random, others):
    packets = list(packets)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(packets))
        kind = random.randrange(8)
        if kind == 0 and len(packets) > 1: del packets[at]
        elif kind == 1: packets.insert(at, packets[at])
        elif kind == 2: packets.insert(at, random.choice(others))
        elif kind == 3:
            other = random.randrange(len(packets))
            packets[at], packets[other] = packets[other], packets[at]
        else: packets[at] = changed(packets[at], random, others)
    return [packet for packet in packets if packet]


def play(packets):
    """Whether the daemon still answers, or has ended the connection."""
    answered = threading.Event()
    transport = log_in(lambda payload: answered.set() if payload.startswith(ANSWER) else None)
    exchange = any(packet[0] < 50 for packet in packets)
    try:
        for packet in packets: transport._send_message(message(packet))
        transport._send_message(message(PROBE))
    except Exception:
        pass # it has hung up
    deadline = time.monotonic() + MOST
    try:
        while transport.is_active():
            if answered.wait(0.05): return True
            # Who starts a key exchange must finish it; until then nobody answers.
            if exchange: return True
            if time.monotonic() > deadline: return False
        return True
    finally:
        transport.close()


def handshake(seed):
    """One of the messages before login is changed, or lost, or said twice."""
    chance = random.Random(seed)
    count, victim = [0], chance.randrange(8)
    def before(transport):
        send = transport.packetizer.send_message
        def send_message(data):
            count[0] += 1
            payload = data.asbytes() if hasattr(data, "asbytes") else bytes(data)
            if count[0] - 1 != victim: return send(data)
            kind = chance.randrange(5)
            if kind == 0: return None
            if kind == 1: send(message(payload))
            else: payload = changed(payload, chance, [payload]) or b"\0"
            return send(message(payload))
        transport.packetizer.send_message = send_message
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = 2
        start = transport.start_client
        transport.start_client = lambda timeout: start(timeout=2)
    try:
        log_in(lambda payload: None, before).close()
    except Exception:
        pass # most of these are refused, as they should be


def alive():
    started = time.monotonic()
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(HOST, PORT, USER, key_filename=KEY, allow_agent=False, look_for_keys=False,
        timeout=MOST, banner_timeout=MOST, auth_timeout=MOST)
    _, out, _ = client.exec_command("echo alive", timeout=MOST)
    assert out.read() == b"alive\n"
    client.close()
    return time.monotonic() - started


def fuzz(*arguments):
    *directories, crashes, seconds, seed = arguments
    recordings = [packets for directory in directories for name in sorted(os.listdir(directory))
        if (packets := read(os.path.join(directory, name)))]
    assert recordings, "nothing was recorded"
    others = [packet for packets in recordings for packet in packets]
    deadline, seed = time.monotonic() + float(seconds), int(seed)
    numbers, counts, slowest, failed = iter(range(1 << 30)), [0, 0], [0.0], []
    def lane():
        while time.monotonic() < deadline and not failed:
            number = next(numbers)
            chance = random.Random(seed * 1000003 + number)
            packets = mutated(chance.choice(recordings), chance, others)
            try:
                if number % 5 == 4:
                    handshake(chance.random())
                    counts[1] += 1
                    continue
                if number % 20 == 0: slowest[0] = max(slowest[0], alive())
                answered = play(packets)
                counts[0] += 1
            except Exception as error:
                answered = False
                print("%d: %r" % (number, error), file=sys.stderr)
            if not answered:
                path = os.path.join(crashes, "seed-%d-%d" % (seed, number))
                with open(path, "wb") as file:
                    for packet in packets: file.write(struct.pack(">I", len(packet)) + packet)
                failed.append(path)
    # As recorded, each is answered.
    for packets in recordings: assert play(packets), packets
    lanes = [threading.Thread(target=lane) for _ in range(4)]
    for one in lanes: one.start()
    for one in lanes: one.join()
    assert not failed, "not answered, or not served: " + " ".join(failed)
    print("%d recordings, %d connections and %d handshakes changed, a login beside them took at most %.1f s"
        % (len(recordings), *counts, slowest[0]))


{"record": record, "fuzz": fuzz}[sys.argv[5]](*sys.argv[6:])
