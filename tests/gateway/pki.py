"""Certificates, keys and tokens for the gateway tests, all into the directory given as argument."""

import base64
import datetime
import ipaddress
import json
import pathlib
import sys
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

HERE = pathlib.Path(sys.argv[1])
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def pem(file, *items):
    (HERE / file).write_bytes(b"".join(items))


def certificate(issuer, subject, sans=(), start=NOW - DAY, end=NOW + DAY):
    """A certificate and its key, by `issuer` (such a pair), or an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    parent = issuer[0].subject if issuer else name(subject)
    builder = x509.CertificateBuilder(parent, name(subject), key.public_key(), x509.random_serial_number(), start, end)
    builder = builder.add_extension(x509.BasicConstraints(issuer is None, None), True)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def write(file, pair):
    cert, key = pair
    pem(file + ".crt", cert.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    pem(file + ".key", key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def b64(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(file, key, **claims):
    claims = {"iss": "https://issuer.example.com", "aud": "ssh-gateway", "sub": "alice", **claims}
    head = b64({"alg": "RS256", "kid": "1", "typ": "JWT"}) + b"." + b64(claims)
    pem(file, head + b"." + b64(key.sign(head, padding.PKCS1v15(), hashes.SHA256())) + b"\n")


here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
authority = certificate(None, "the gateway's authority")
write("authority", authority)
write("server", certificate(authority, "gateway", here))
write("renewed", certificate(authority, "gateway, renewed", here))
write("expired", certificate(authority, "gateway", here, NOW - 3 * DAY, NOW - 2 * DAY))
write("early", certificate(authority, "gateway", here, NOW + DAY, NOW + 2 * DAY))
write("elsewhere", certificate(authority, "gateway", [x509.DNSName("gw.example.com")]))
clients = certificate(None, "the clients' authority")
write("clients", clients)
write("alice", certificate(clients, "alice", [x509.UniformResourceIdentifier("spiffe://example.com/alice")]))
write("stranger", certificate(authority, "stranger", [x509.DNSName("stranger")]))

issuer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = issuer.public_key().public_numbers()
number = lambda value: b64(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()
key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": number(public.n), "e": number(public.e)}
(HERE / "jwks.json").write_text(json.dumps({"keys": [key]}))
token("token", issuer, exp=int(time.time()) + 3600)
token("token.expired", issuer, exp=int(time.time()) - 3600)
token("token.forged", rsa.generate_private_key(public_exponent=65537, key_size=2048), exp=int(time.time()) + 3600)
