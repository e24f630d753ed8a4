"""Goes on with a conversation of FOLDER/logs.db that `llm` stored before it had threads, as `llm -c` does, and adds what it said to
FOLDER/expected.json.

usage: llm_after.py FOLDER
"""
import json
import sys
from pathlib import Path

import llm
import sqlite_utils
from echo import Echo
from llm.cli import load_conversation
from llm.logs import LogStore

folder = Path(sys.argv[1])


class Plugin:
    """Has the model."""

    @llm.hookimpl
    def register_models(self, register):
        register(Echo())


llm.plugins.pm.register(Plugin(), name="echo")
path = folder / "logs.db"
db = sqlite_utils.Database(path)
store = LogStore(db)
id = (folder / "plain").read_text(encoding="utf-8")
conversation = load_conversation(id, database=str(path))
response = conversation.prompt("And now?")
answer = response.text()
response.log_to_db(db)
assert db["threads"].count == 1 and db["responses"].count == 5

expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
read = [[message.role, "\n".join(part.text for part in message.parts), [], []] for message in store.thread_messages(id)]
assert read[-2:] == [["user", "And now?", [], []], ["assistant", answer, [], []]]
expected[id] = read
(folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
