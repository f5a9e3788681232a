"""A gRPC service that decides on every CONNECT, as the gateway's ext_authz asks it.

Argument: the file that gets its port. Whoever shows `Bearer NAME` may enter the workspaces of namespace
ws-NAME; nobody else may enter anything.
"""

import pathlib
import sys
from concurrent import futures

import grpc
from envoy.service.auth.v3 import external_auth_pb2 as auth
from envoy.service.auth.v3 import external_auth_pb2_grpc as service

OK, DENIED, UNKNOWN = 0, 7, 16


def refuse(code, http, why):
    answer = auth.CheckResponse(status={"code": code})
    answer.denied_response.status.code = http
    answer.denied_response.body = why
    return answer


class Authorization(service.AuthorizationServicer):
    def Check(self, request, context):
        http = request.attributes.request.http
        scheme, _, name = http.headers.get("authorization", "").partition(" ")
        if http.method != "CONNECT" or scheme != "Bearer" or not name:
            return refuse(UNKNOWN, 401, "say who you are")
        namespace = http.host.split(".")[1]
        if namespace != f"ws-{name}":
            return refuse(DENIED, 403, f"{name} may not enter {namespace}")
        return auth.CheckResponse(status={"code": OK})


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
service.add_AuthorizationServicer_to_server(Authorization(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
ready = pathlib.Path(sys.argv[1])
ready.with_suffix(".new").write_text(str(port))
ready.with_suffix(".new").rename(ready)
server.wait_for_termination()
