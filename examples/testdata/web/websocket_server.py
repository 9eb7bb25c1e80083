# Echoes messages by Python's websockets. What begins with a slash is an order.
import asyncio

import websockets

closed = asyncio.Queue()  # the codes that clients have closed with, for who asks by /closed


async def orders(socket, message):
    order, _, rest = message.partition(" ")
    if order == "/close":
        code, _, reason = rest.partition(" ")
        await socket.close(int(code), reason)
    elif order == "/fragments":
        await socket.send(word + " " for word in rest.split())
    elif order == "/ping":
        await (await socket.ping(rest))
        await socket.send("pong " + rest)
    elif order == "/closed":
        await socket.send(await closed.get())
    elif order == "/vanish":
        socket.transport.abort()


async def serve(socket):
    try:
        async for message in socket:
            if isinstance(message, str) and message.startswith("/"):
                await orders(socket, message)
            else:
                await socket.send(message)
    except websockets.ConnectionClosedError:
        pass
    if socket.close_code >= 4000 and socket.close_rcvd_then_sent:
        closed.put_nowait(f"{socket.close_code} {socket.close_reason}")


async def main():
    async with websockets.serve(serve, ["0.0.0.0", "::"], 8083, max_size=2 << 20, subprotocols=["echo"]):
        await asyncio.Future()


asyncio.run(main())
