"""CONNECT by HTTP/2, without TLS: `h2connect.py GATEWAY AUTHORITY...` prints for each authority the status,
and after a 2xx the first line that came through the tunnel."""

import socket
import sys

import h2.connection
import h2.events


def ask(gateway, authority):
    host, port = gateway.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)), timeout=30)
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [(":method", "CONNECT"), (":authority", authority)])
    status, data = None, b""
    while True:
        stream.sendall(client.data_to_send())
        received = stream.recv(65536)
        if not received:
            return f"{status} hung up"
        for event in client.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[b":status"].decode()
                if not status.startswith("2"):
                    return status
            elif isinstance(event, h2.events.DataReceived):
                data += event.data
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                return f"reset {event.error_code}"
        if b"\n" in data:
            return f"{status} {data.splitlines()[0].decode()}"


for authority in sys.argv[2:]:
    print(ask(sys.argv[1], authority))
