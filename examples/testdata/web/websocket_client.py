# Talks with an echo server by Python's websockets: websocket_client.py URL [orders]
import asyncio
import os
import sys

import websockets

url, orders = sys.argv[1], sys.argv[2:] == ["orders"]


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: got {str(got)[:200]!r}, want {str(want)[:200]!r}")


async def echo(socket):
    for message in ["hello", "", "ü€😀", bytes(range(256)), b"", "a" * (1 << 20), os.urandom(1 << 20)]:
        await socket.send(message)
        same(await socket.recv(), message, f"a message of {len(message)}")
    await socket.send(["in ", "three ", "fragments"])
    same(await socket.recv(), "in three fragments", "a message in fragments")
    pong = await socket.ping(b"are you there")
    await asyncio.wait_for(pong, 60)


# Messages go both ways at once.
async def stream(socket):
    async def send():
        for i in range(1000):
            await socket.send(f"message {i}")
    sending = asyncio.create_task(send())
    for i in range(1000):
        same(await socket.recv(), f"message {i}", "one of many")
    await sending


# The server ends the connection, in one way or another.
async def order(line, code, reason=""):
    async with connect() as socket:
        await socket.send(line)
        try:
            same(await socket.recv(), None, f"after {line[:20]}")
        except websockets.ConnectionClosed:
            same(socket.close_code, code, line[:20])
            same(socket.close_reason, reason, line[:20])


def connect():
    return websockets.connect(url, subprotocols=["echo"] if orders else None, max_size=None)


async def main():
    async with connect() as socket:
        await echo(socket)
        await stream(socket)
        if orders:
            same(socket.subprotocol, "echo", "the protocol that is agreed to")
            same([e.name for e in socket.extensions], ["permessage-deflate"], "the extensions that are agreed to")
            await socket.send("/fragments one two three")
            same(await socket.recv(), "one two three ", "an answer in fragments")
            await socket.send("/ping 42")
            same(await socket.recv(), "pong 42", "what follows from a ping of the server")
        await socket.close(4001, "bye")
    if not orders:
        return
    async with connect() as socket:
        await socket.send("/closed")
        same(await socket.recv(), "4001 bye", "the code that the server has been told")
    await order("/close 4002 later", 4002, "later")
    await order("/close 1011 ", 1011)
    await order("/vanish", 1006)
    await order(os.urandom(3 << 20), 1009)  # more than the server takes


asyncio.run(main())
print("ok")
