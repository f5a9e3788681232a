"""Connections that do nothing: idle.py PORT USER KEY COUNT. Prints `ready` and holds them until its
standard input ends. asyncssh, because thousands of ssh processes would measure the client."""

import asyncio
import sys

import asyncssh

AT_ONCE = 8


async def main(port, user, key, count):
    gate = asyncio.Semaphore(AT_ONCE)
    keys = asyncssh.read_private_key_list(key)

    async def one():
        async with gate:
            connection = await asyncssh.connect(
                *("127.0.0.1", int(port)),
                config=None,
                username=user,
                client_keys=keys,
                known_hosts=None,
                agent_path=None,
                kex_algs=["curve25519-sha256"],
                encryption_algs=["aes256-gcm@openssh.com"],
                login_timeout=120,
            )
            process = await connection.create_process("echo up; exec sleep 3600", term_type="xterm")
            line = await process.stdout.readline()
            assert line.strip() == "up", line
            return connection, process

    held = await asyncio.gather(*(one() for _ in range(int(count))))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for connection, _ in held:
        connection.abort()


asyncio.run(main(*sys.argv[1:]))
