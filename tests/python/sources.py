"""Writes what other tools store, with the tools themselves, and what each tool reads of it again.

usage: sources.py FOLDER
writes FOLDER/{llm,langchain,agents,python}.db, FOLDER/python/*.json, FOLDER/python.{json,jsonl,csv}, and FOLDER/expected.json:
{source: {conversation: [[role, text, [[tool, arguments], …], [response, …]], …]}}
"""
import asyncio
import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
expected = {}


def with_llm():
    import llm
    import sqlite_utils
    from echo import Echo, weather
    from llm.logs import LogStore

    model = Echo()
    db = sqlite_utils.Database(folder / "llm.db")
    store = LogStore(db)

    plain = model.conversation()
    plain.prompt("Hello d\u00e9j\u00e0 vu \u90e8\u7f72", system="Be kind.").text()
    plain.prompt("Again").text()
    for response in plain.responses:
        response.log_to_db(db)

    tools = model.conversation(tools=[weather])
    chain = tools.chain("What is the weather in Bern?")
    chain.text()
    chain.log_to_db(db)

    image = model.conversation()
    image.prompt("Look", attachments=[llm.Attachment(type="image/png", content=b"\x89PNG\r\n\x1a\n123")]).text()
    image.responses[0].log_to_db(db)

    fragments = model.conversation()
    fragments.prompt("Shorten it.", fragments=["A long text of the fragment."]).text()
    fragments.responses[0].log_to_db(db)

    # A fork of the first conversation after its first answer.
    first = store.thread_messages(plain.id)
    hashes = [row["hash"] for row in db.query("select hash, parent_hash from messages")]
    tip = next(row["tip_message_hash"] for row in db.query("select * from turns where thread_id = ? order by id", [plain.id]))
    fork = store.fork(tip, name="Another way", forked_from=plain.id)
    store.append(fork, [llm.Message(role="user", parts=[llm.parts.TextPart(text="Otherwise")])])
    assert len(hashes) > len(first)

    of = {}
    for thread in db["threads"].rows:
        of[thread["id"]] = [
            [
                message.role,
                "\n".join(
                    getattr(part, "text", None) or getattr(part, "output", None) or ""
                    for part in message.parts
                    if type(part).__name__ in ("TextPart", "ToolResultPart")
                ),
                [[part.name, part.arguments] for part in message.parts if type(part).__name__ == "ToolCallPart"],
                [part.output for part in message.parts if type(part).__name__ == "ToolResultPart"],
            ]
            for message in store.thread_messages(thread["id"])
        ]
    expected["llm"] = of
    expected["llm-fork"] = {"id": fork, "of": plain.id}


def with_langchain():
    from langchain_community.chat_message_histories import SQLChatMessageHistory
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    url = f"sqlite:///{folder / 'langchain.db'}"
    of = {}
    for id in ["one", "two \u90e8\u7f72"]:
        history = SQLChatMessageHistory(session_id=id, connection=url)
        history.add_messages([
            SystemMessage("Be kind."),
            HumanMessage([{"type": "text", "text": "What is the weather"}, {"type": "text", "text": "in Bern?"}]),
            AIMessage(
                "", tool_calls=[{"name": "weather", "args": {"city": "Bern"}, "id": "call_1", "type": "tool_call"}],
                response_metadata={"model_name": "gpt-4o"}, usage_metadata={"input_tokens": 3, "output_tokens": 5, "total_tokens": 8},
            ),
            ToolMessage("sunny", tool_call_id="call_1"),
            AIMessage(f"It is sunny in {id}.", id=f"run-{id}"),
        ])
        roles = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
        of[id] = [
            [
                roles[message.type],
                message.content if isinstance(message.content, str) else "\n".join(block["text"] for block in message.content),
                [[call["name"], call["args"]] for call in getattr(message, "tool_calls", [])],
                [message.content] if message.type == "tool" else [],
            ]
            for message in history.messages
        ]
    expected["langchain"] = of


async def with_agents():
    from agents import SQLiteSession

    session = SQLiteSession("support-1", str(folder / "agents.db"))
    await session.add_items([
        {"role": "user", "content": "What is the weather in Bern?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Ask the tool."}]},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{\"city\": \"Bern\"}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "It is sunny.", "annotations": []}]},
    ])
    other = SQLiteSession("support-2", str(folder / "agents.db"))
    await other.add_items([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}])
    read = [await session.get_items(), await other.get_items()]
    assert [len(items) for items in read] == [5, 2]
    expected["agents"] = {
        "support-1": [
            ["user", "What is the weather in Bern?", [], []],
            ["assistant", "", [["weather", {"city": "Bern"}]], []],
            ["tool", "sunny", [], ["sunny"]],
            ["assistant", "It is sunny.", [], []],
        ],
        "support-2": [["user", "Hello", [], []], ["assistant", "Hello!", [], []]],
    }


def with_python():
    from session_history_saver import SessionTracker, exporters

    sqlite = SessionTracker(backend="sqlite", db_path=str(folder / "python.db"))
    files = SessionTracker(backend="json", storage_dir=str(folder / "python"))
    of = {}
    for tracker in (sqlite, files):
        for id in ["plain", "second"]:
            tracker.start_session(session_id=id, user_id="alice", title="Billing \u2014 d\u00e9j\u00e0 vu", tags=["a", "b"], metadata={"n": 1})
            tracker.add_user_message(id, "=1+1 is \u90e8\u7f72", tokens=7, message_id=f"{id}-1")
            tracker.add_assistant_message(id, "Two,\n\"indeed\".", tokens=0, model="m", latency_ms=4.5, message_id=f"{id}-2")
            tracker.add_message(id, role="narrator", content="- and so on", message_id=f"{id}-3")
            tracker.end_session(id)
    sessions = [sqlite.get_session(id) for id in ["plain", "second"]]
    for session in sessions:
        roles = {"narrator": "system"}
        of[session.session_id] = [[roles.get(m.role, m.role), m.content, [], []] for m in session.messages]
    expected["python"] = of
    (folder / "python.json").write_text(exporters.to_json(sessions[0]), encoding="utf-8")
    (folder / "python.jsonl").write_text(exporters.to_jsonl(sessions), encoding="utf-8")
    (folder / "python.csv").write_text(exporters.to_csv(sessions), encoding="utf-8", newline="")


with_llm()
with_langchain()
asyncio.run(with_agents())
with_python()
(folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
