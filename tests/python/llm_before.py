"""Fills FOLDER/logs.db with the tool `llm` before it had threads, and writes what it reads of it to FOLDER/expected.json.

usage: llm_before.py FOLDER
"""
import json
import sys
from pathlib import Path

import llm
import sqlite_utils
from echo import Echo, weather
from llm.migrations import migrate

folder = Path(sys.argv[1])

model = Echo()
db = sqlite_utils.Database(folder / "logs.db")
migrate(db)
plain = model.conversation()
plain.prompt("Hello d\u00e9j\u00e0 vu", system="Be kind.").text()
plain.prompt("Again", system="Be kind.").text()
plain.log_to_db(db) if hasattr(plain, "log_to_db") else [response.log_to_db(db) for response in plain.responses]

tools = model.conversation(tools=[weather])
chain = tools.chain("What is the weather in Bern?")
chain.text()
chain.log_to_db(db)

image = model.conversation()
image.prompt("Look", fragments=["A long text."], attachments=[llm.Attachment(type="image/png", content=b"\x89PNG\r\n\x1a\n123")]).text()
image.responses[0].log_to_db(db)

expected = {
    plain.id: [
        ["system", "Be kind.", [], []], ["user", "Hello d\u00e9j\u00e0 vu", [], []], ["assistant", plain.responses[0].text(), [], []],
        ["user", "Again", [], []], ["assistant", plain.responses[1].text(), [], []],
    ],
    tools.id: [
        ["user", "What is the weather in Bern?", [], []], ["assistant", "", [["weather", {"city": "Bern"}]], []],
        ["tool", "sunny", [], ["sunny"]], ["assistant", "It is sunny", [], []],
    ],
    image.id: [["user", "A long text.\nLook", [], []], ["assistant", image.responses[0].text(), [], []]],
}
assert db["responses"].count == 5
(folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
(folder / "plain").write_text(plain.id, encoding="utf-8")
