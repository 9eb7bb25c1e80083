# The clients of Python's standard library, and aiohttp, against one of the servers: http_client.py ADDRESS
import asyncio
import hashlib
import http.client
import sys
import urllib.error
import urllib.request

import aiohttp

server = sys.argv[1]
large = b"0123456789abcdef" * (1 << 20)  # 16 MiB


def sum_of(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: got {str(got)[:200]!r}, want {str(want)[:200]!r}")


def keep_alive():
    connection = http.client.HTTPConnection(server)
    used = None
    for method, path, body, want in [
        ("GET", "/", None, b"hello"), ("HEAD", "/bytes/1600", None, b""), ("GET", "/bytes/1600", None, large[:1600]),
        ("POST", "/sum", b"", sum_of(b"")), ("PUT", "/sum", b"again", sum_of(b"again")),
        ("POST", "/sum", iter([b"one,", b"two,", b"three"]), sum_of(b"one,two,three")), ("GET", "/", None, b"hello"),
    ]:
        connection.request(method, path, body=body)  # an iterator is sent in chunks
        response = connection.getresponse()
        same(response.status, 200, f"{method} {path}")
        if method == "HEAD":
            same(response.getheader("content-length"), "1600", "length that HEAD tells")
        same(response.read(), want, f"{method} {path}")
        used = used or connection.sock
        same(connection.sock is used, True, f"{method} {path} on the connection of the one before")
    connection.close()


def large_bodies():
    with urllib.request.urlopen(f"http://{server}/bytes/{len(large)}") as response:
        same(response.read() == large, True, "a large answer")
    with urllib.request.urlopen(f"http://{server}/sum", data=large) as response:
        same(response.read(), sum_of(large), "a large request")
    in_pieces = urllib.request.Request(f"http://{server}/sum", method="PUT",
                                       data=(large[i:i + 70001] for i in range(0, len(large), 70001)))
    with urllib.request.urlopen(in_pieces) as response:
        same(response.read(), sum_of(large), "a large request in chunks")


def early_answer():
    try:
        urllib.request.urlopen(f"http://{server}/refuse", data=b"small")
        sys.exit("what is refused was taken")
    except urllib.error.HTTPError as error:
        same((error.code, error.read()), (413, b"too large"), "a refusal")


async def by_aiohttp():
    async with aiohttp.ClientSession(f"http://{server}", connector=aiohttp.TCPConnector(limit=8)) as session:
        async def call(i):
            async with session.post("/echo", data=f"call {i}") as response:
                same(await response.text(), f"call {i}", "one of many at once")
        await asyncio.gather(*map(call, range(200)))

        async with session.post("/sum", data=large, expect100=True) as response:
            same(await response.read(), sum_of(large), "a request that waited for 100")

        # Each piece is sent when the one before has come back: request and answer are under way at once.
        heard = asyncio.Queue()

        async def pieces():
            for i in range(20):
                yield f"piece {i}\n".encode()
                await heard.get()
        async with session.post("/echo", data=pieces()) as response:
            for i in range(20):
                same(await response.content.readline(), f"piece {i}\n".encode(), "a piece")
                heard.put_nowait(i)
            same(await response.content.read(), b"", "the end of the pieces")


keep_alive()
large_bodies()
early_answer()
asyncio.run(by_aiohttp())
print("ok")
