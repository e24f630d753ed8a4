"""Reads exported data sets with the programs they are made for. Argument: the folder with them, and expected.json."""
import json
import os
import sys
import typing

folder = sys.argv[1]
# Nothing is looked up elsewhere, and nothing is kept.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = os.path.join(folder, "cache")

from datasets import disable_progress_bars, load_dataset
from openai.types import chat
from openai.types.shared_params import FunctionDefinition
from pydantic import TypeAdapter

disable_progress_bars()
ROLES = {
    "system": chat.ChatCompletionSystemMessageParam,
    "user": chat.ChatCompletionUserMessageParam,
    "assistant": chat.ChatCompletionAssistantMessageParam,
    "tool": chat.ChatCompletionToolMessageParam,
}


def path(name):
    return os.path.join(folder, name)


def lines(name):
    with open(path(name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def consume(value):
    """What pydantic has of an iterable is checked when it is walked."""
    if isinstance(value, dict):
        return {key: consume(item) for key, item in value.items()}
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return [consume(item) for item in value]


def check_message(message):
    message = dict(message)
    if message["role"] == "assistant":
        assert message.pop("weight", 0) in (0, 1)
    kind = ROLES[message["role"]]
    unknown = set(message) - set(typing.get_type_hints(kind))
    assert not unknown, unknown
    assert consume(TypeAdapter(kind).validate_python(message, strict=False)) == message


def check_tools(tools):
    for tool in tools:
        assert tool["type"] == "function"
        assert consume(TypeAdapter(FunctionDefinition).validate_python(tool["function"])) == tool["function"]


def check_openai():
    messages = 0
    for line in lines("openai.jsonl"):
        check_tools(line.get("tools", []))
        for message in line["messages"]:
            check_message(message)
            messages += 1
    for line in lines("openai-dpo.jsonl"):
        check_tools(line["input"]["tools"])
        for message in line["input"]["messages"] + line["preferred_output"] + line["non_preferred_output"]:
            check_message(message)
            messages += 1
    return messages


def without_none(value):
    """A column has a place for what other rows have."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def load(name, kind):
    return load_dataset(kind, data_files=path(name), split="train")


def check_datasets():
    with open(path("expected.json"), encoding="utf-8") as file:
        expected = json.load(file)
    for name, rows in expected.items():
        loaded = load(name, "parquet" if name.endswith(".parquet") else "json")
        assert loaded.num_rows == rows, name
        if name.endswith(".jsonl"):
            for row, line in zip(loaded, lines(name)):
                assert without_none(row) == without_none(line), (name, row, line)
    # Parquet has what TRL has, with JSON in strings.
    for row, line in zip(load("parquet.parquet", "parquet"), lines("trl.jsonl")):
        for message in row["messages"]:
            for call in message["tool_calls"] or []:
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        row["tools"] = json.loads(row["tools"]) if row["tools"] else None
        line["tools"] = line.get("tools")
        for message in line["messages"]:
            message.setdefault("content", None)
        assert without_none(row) == without_none(line), (row, line)
    return len(expected)


print(json.dumps({"messages": check_openai(), "loaded": check_datasets()}))
