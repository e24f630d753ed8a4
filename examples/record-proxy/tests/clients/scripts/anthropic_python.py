"""Makes the calls that standard input asks for, one a line, with Anthropic's client, and prints what a program behind it sees."""

import json
import sys

import anthropic

# The client makes other events of these.
EVENTS = {
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
}
clients = {}


def client(order):
    key = (order["base"], order["retries"])
    if key not in clients:
        clients[key] = anthropic.Anthropic(
            api_key="sk-of-a-test", base_url=order["base"], max_retries=order["retries"], timeout=30
        )
    return clients[key]


def call(order, seen):
    messages = client(order).messages
    body = {**order["body"], "extra_headers": order["headers"]}
    if not body.pop("stream", False):
        seen["answer"] = messages.create(**body).to_dict(mode="json")
        return
    events = seen["events"] = []
    with messages.stream(**body) as stream:
        if order["leave_after"] == 0:
            return
        for event in stream:
            if event.type not in EVENTS:
                continue
            events.append(event.to_dict(mode="json"))
            if len(events) == order["leave_after"]:
                return
        if order["leave_after"] is None:
            seen["answer"] = stream.get_final_message().to_dict(mode="json")


for line in sys.stdin:
    seen = {}
    try:
        call(json.loads(line), seen)
    except Exception as error:
        seen["error"] = {"kind": type(error).__name__, "status": getattr(error, "status_code", None), "text": str(error)}
    print(json.dumps(seen), flush=True)
