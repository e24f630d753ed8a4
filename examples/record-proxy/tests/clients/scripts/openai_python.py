"""Makes the calls that standard input asks for, one a line, with OpenAI's client, and prints what a program behind it sees."""

import json
import sys

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

clients = {}


def client(order):
    key = (order["base"], order["retries"])
    if key not in clients:
        clients[key] = openai.OpenAI(
            api_key="sk-of-a-test", base_url=order["base"] + "/v1", max_retries=order["retries"], timeout=30
        )
    return clients[key]


def call(order, seen):
    apis = {"chat": client(order).chat.completions, "responses": client(order).responses}
    given = apis[order["api"]].create(**order["body"], extra_headers=order["headers"])
    if not order["body"].get("stream"):
        seen["answer"] = given.to_dict(mode="json")
        return
    puts_together = order["api"] == "chat" and order["leave_after"] is None
    state = ChatCompletionStreamState()
    events = seen["events"] = []
    with given as stream:
        if order["leave_after"] == 0:
            return
        for event in stream:
            events.append(event.to_dict(mode="json"))
            if puts_together:
                state.handle_chunk(event)
            if len(events) == order["leave_after"]:
                return
    if puts_together:
        seen["answer"] = state.get_final_completion().to_dict(mode="json")


for line in sys.stdin:
    seen = {}
    try:
        call(json.loads(line), seen)
    except Exception as error:
        seen["error"] = {"kind": type(error).__name__, "status": getattr(error, "status_code", None), "text": str(error)}
    print(json.dumps(seen), flush=True)
