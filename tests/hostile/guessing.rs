//! Nothing is to be learnt by asking: users and keys are refused with the same words, as quickly.

use crate::harness::daemon::Daemon;
use crate::python::{self, WIRE};

#[test]
fn users_and_keys_cannot_be_told_apart_by_answer_or_time() {
    let daemon = Daemon::start(|_| ());
    let printed = python::check(
        &daemon,
        WIRE,
        r#"
import statistics
known = paramiko.PKey.from_path(KEY)
unknown = paramiko.Ed25519Key.generate() if hasattr(paramiko.Ed25519Key, "generate") else None
blob = known.asbytes()
stranger = blob[:-32] + os.urandom(32)
# A name that exists with a key nobody knows, one that does not exist with both.
kinds = {"user, unknown key": (USER, stranger), "no user, unknown key": ("nobody-here", stranger),
         "no user, known key": ("nobody-here", blob)}
times = {kind: [] for kind in kinds}
answers = {kind: set() for kind in kinds}

class Asker(Wire):
    def __init__(self):
        self.answers = queue.Queue()
        self.transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
        read = self.transport.packetizer.read_message
        def read_message():
            while True:
                kind, message = read()
                if 50 <= kind <= 79 or kind == 6:
                    self.answers.put((time.perf_counter(), bytes([kind]) + message.get_remainder()))
                    continue
                return kind, message
        self.transport.packetizer.read_message = read_message
        self.transport.start_client(timeout=30)
        self.send(5, "ssh-userauth")
        self.answers.get(timeout=20)

    def ask(self, user, key):
        began = time.perf_counter()
        self.send(50, user, "ssh-connection", "publickey", False, "ssh-ed25519", key)
        at, answer = self.answers.get(timeout=20)
        return at - began, answer

for round in range(34):
    asker = Asker()
    order = list(kinds) * 6
    order = order[round % 3:] + order[:round % 3]
    for kind in order:
        took, answer = asker.ask(*kinds[kind])
        times[kind].append(took); answers[kind].add(answer)
    asker.transport.close()

assert len(set.union(*answers.values())) == 1, answers
lower = {kind: statistics.quantiles(all, n=4)[0] for kind, all in times.items()}
median = {kind: statistics.median(all) for kind, all in times.items()}
for kind in kinds: print("%s: %d asked, first quartile %.2f ms, median %.2f ms"
    % (kind, len(times[kind]), lower[kind] * 1e3, median[kind] * 1e3))
# Each refusal takes 5 ms, whatever it is for; the first quartile knows little of a busy machine.
spread = max(lower.values()) - min(lower.values())
assert spread < 0.0015, lower
"#,
    );
    print!("{printed}");
}

#[test]
fn a_signature_by_a_key_nobody_knows_is_refused_like_one_for_another_user() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        WIRE,
        r#"
class Other(paramiko.Transport): pass
def refusal(user, key):
    transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
    transport.start_client(timeout=20)
    try:
        transport.auth_publickey(user, key)
    except paramiko.AuthenticationException as error:
        return type(error), str(error)
    finally:
        transport.close()
    raise AssertionError("let in")
known = paramiko.PKey.from_path(KEY)
unknown = paramiko.RSAKey.generate(2048)
assert len({refusal("nobody-here", known), refusal("nobody-here", unknown), refusal(USER, unknown)}) == 1
"#,
    );
}
