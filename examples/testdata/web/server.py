# A server of HTTP by aiohttp. What it waits for are other requests, so that nobody has to measure time.
import asyncio
import hashlib

from aiohttp import web

turns = {}  # by name: what a request waits for, and another one does


def turn(name):
    return turns.setdefault(name, asyncio.Queue())


async def hello(request):
    return web.Response(text="hello")


async def sum_up(request):
    digest, size = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        size += len(piece)
    return web.Response(text=f"{size} {digest.hexdigest()}")


async def echo(request):
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


async def bytes_(request):
    return web.Response(body=b"0123456789abcdef" * (int(request.match_info["n"]) // 16))


async def next_(request):
    await turn(request.match_info["name"]).put(await request.text())
    return web.Response(text="ok")


# Each event is sent when somebody has asked for it, by the path of next_, and the last one is the word "end".
async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    while (text := await turn(request.match_info["name"]).get()) != "end":
        await response.write(f"data: {text}\n\n".encode())
    return response


async def poll(request):
    return web.Response(text=await turn(request.match_info["name"]).get())


# Answers before it has read anything of the request.
async def refuse(request):
    return web.Response(status=413, text="too large")


app = web.Application(client_max_size=1 << 30)
app.add_routes([
    web.route("*", "/", hello), web.get("/bytes/{n}", bytes_), web.route("*", "/sum", sum_up),
    web.post("/echo", echo), web.post("/next/{name}", next_), web.get("/events/{name}", events), web.get("/poll/{name}", poll),
    web.post("/refuse", refuse),
])
web.run_app(app, host=["0.0.0.0", "::"], port=8081, access_log=None, print=None)
