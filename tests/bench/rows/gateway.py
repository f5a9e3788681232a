"""Through a real Envoy with the shipped route, as clients come in a cluster."""

import os
import pathlib
import shutil
import subprocess
import urllib.request

from client import Failed, wait_for
from measure import Row, Sample
from rows.bulk import GIB, download, upload
from rows.connect import first_byte
from servers import Podssh

SHIPPED = pathlib.Path(__file__).resolve().parents[3] / "manifests/gateway/envoy"
AUTH = SHIPPED.parent / "auth"
WORKSPACE = "workspace.ws-demo.svc.cluster.local"


def rows(bench):
    try:
        envoy = Envoy(bench)
    except (Failed, OSError, StopIteration) as error:
        yield Row("gateway", "through Envoy", "", failed=f"{error}")
        return
    try:
        size = bench.pick(GIB // 2, GIB)
        # TLS beside plain text by one and the same client, so that the two rows tell what TLS costs.
        for client, way in (("", envoy.way), (", podssh connect", envoy.plainly), (", podssh connect, TLS", envoy.by_tls)):
            for name, move in (("exec down", download), ("exec up", upload)):
                row = Row("gateway", f"{name} through Envoy{client or ', aes256-gcm'}", "MiB/s", cpu_unit="s/GiB", want_gain=1.0, want_cpu=1.0)

                def run(server, move=move, way=way):
                    options = ["-o", "Ciphers=aes256-gcm@openssh.com", *way(server)]
                    seconds, cpu = bench.cpu(server, lambda: move(bench, server, options, size))
                    return Sample(size / 2**20 / seconds, cpu * GIB / size)

                yield bench.compare(row, bench.pick(2, 5), run, higher=True)
        # nc waits for Envoy's delayed acknowledgement, 40 ms, whichever server: it leaves Nagle's algorithm on.
        for client, way in (("", envoy.way), (", podssh connect", envoy.plainly)):
            row = Row("gateway", f"connect to first byte through Envoy{client}", "ms", want_gain=1.0)
            yield bench.compare(row, bench.pick(10, 30), lambda server, way=way: connect(way, bench, server), higher=False)
    finally:
        envoy.stop()


def connect(way, bench, server):
    line = bench.client.ssh

    class Through:
        """The bench's client with the way through Envoy in every command line."""

        client = type("Client", (), {"ssh": staticmethod(lambda to, **more: line(to, *way(to), **more))})
        accounts = bench.accounts

    return Sample(first_byte(Through, server) * 1000)


class Envoy:
    """The gateway of manifests/gateway/envoy in front of both servers."""

    def __init__(self, bench):
        program = os.environ.get("PODSSH_ENVOY", "")
        if not os.access(program, os.X_OK):
            raise Failed("no Envoy: run scripts/install bench")
        if not shutil.which("nc"):
            raise Failed("no nc: run scripts/install bench")
        self.path = bench.stage.path / "envoy"
        xds = self.path / "xds"
        xds.mkdir(parents=True)
        head, entry = (SHIPPED / "cds.yaml").read_text().split("resources:\n")
        entries = (self.entry(entry, server) for server in bench.servers)
        (xds / "cds.yaml").write_text(head + "resources:\n" + "".join(entries))
        text = (SHIPPED / "envoy.yaml").read_text().replace("/etc/envoy-xds", str(xds))
        for usual in ("address: 127.0.0.1, port_value: 9901", "address: 0.0.0.0, port_value: 8080"):
            assert usual in text, f"{usual} is not in envoy.yaml any more"
            text = text.replace(usual, "address: 127.0.0.1, port_value: 0")
        (self.path / "envoy.yaml").write_text(text)
        self.certificate = self.path / "tls" / "tls.crt"
        admin = self.path / "admin"
        with open(self.path / "log", "wb") as log:
            line = [program, "--config-path", self.path / "envoy.yaml", "--admin-address-path", admin]
            line += ["--config-yaml", self.listener()]
            line += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: admin.exists() and admin.read_text(), "Envoy's admin page")
            listeners = urllib.request.urlopen(f"http://{admin.read_text()}/listeners").read().decode()
            places = dict(line.split("::", 1) for line in listeners.splitlines())
            self.address, self.address_tls = places["ssh_connect"], places["ssh_connect_tls"]
        except BaseException:
            self.stop()
            raise

    def listener(self):
        """The listener on 443 as shipped, with a certificate of its own."""
        directory = self.certificate.parent
        directory.mkdir()
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
        make += ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
        make += ["-keyout", directory / "tls.key", "-out", self.certificate]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = (AUTH / "wiring/server.yaml").read_text().replace("/etc/envoy-tls", str(directory))
        (self.path / "server.yaml").write_text(server)
        text = (AUTH / "tls/listener.yaml").read_text().replace("/etc/envoy-sds", str(self.path))
        usual = "address: 0.0.0.0, port_value: 8443"
        assert usual in text, f"{usual} is not in listener.yaml any more"
        return text.replace(usual, "address: 127.0.0.1, port_value: 0")

    @staticmethod
    def entry(entry, server):
        usual = f"address: {WORKSPACE}, port_value: 80"
        assert usual in entry, f"{usual} is not in cds.yaml any more"
        entry = entry.replace(usual, f"address: 127.0.0.1, port_value: {server.port}")
        return entry.replace(WORKSPACE, name(server))

    def way(self, server):
        return ["-o", f"ProxyCommand=nc -X connect -x {self.address} {name(server)} 80"]

    def plainly(self, server):
        return self.connect(server, f"http://{self.address}")

    def by_tls(self, server):
        port = self.address_tls.rsplit(":", 1)[1]
        return self.connect(server, f"https://localhost:{port} --gateway-ca {self.certificate}")

    def connect(self, server, gateway):
        return ["-o", f"ProxyCommand={Podssh.installed} connect --gateway {gateway} {name(server)} 80"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def name(server):
    return WORKSPACE.replace("workspace", server.name, 1)
