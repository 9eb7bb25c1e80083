# Reads server-sent events, each of which is sent only when the one before has come: events_client.py ADDRESS NAME
import sys
import urllib.request

address, name = sys.argv[1:]


def say(text):
    urllib.request.urlopen(f"http://{address}/next/{name}", data=text.encode()).read()


with urllib.request.urlopen(f"http://{address}/events/{name}") as events:
    if events.headers["content-type"] != "text/event-stream":
        sys.exit(f"the content type is {events.headers['content-type']}")
    for i in range(20):
        say(f"event {i}")
        got = events.readline() + events.readline()
        if got != f"data: event {i}\n\n".encode():
            sys.exit(f"got {got!r} for event {i}")
    say("end")
    if rest := events.read():
        sys.exit(f"got {rest!r} behind the last event")
print("ok")
