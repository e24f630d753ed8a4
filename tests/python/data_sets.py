"""Writes real conversations as transcripts: of the packages chitchat-dataset and chatterbot-corpus.

usage: data_sets.py FOLDER
writes FOLDER/chitchat.jsonl and FOLDER/corpus.jsonl
"""
import json
import sys
from pathlib import Path

import chatterbot_corpus
import yaml
from chitchat_dataset import Dataset

folder = Path(sys.argv[1])

with open(folder / "chitchat.jsonl", "w", encoding="utf-8") as out:
    for id, conversation in Dataset().items():
        first = None
        messages = []
        for turn in conversation["messages"]:
            for said in turn:
                first = first or said["sender"]
                role = "user" if said["sender"] == first else "assistant"
                messages.append({
                    "message_id": f"m{len(messages) + 1}", "role": role, "content": said["text"], "timestamp": said["timestamp"],
                    "metadata": {"sender": said["sender"]},
                })
        if messages:
            session = {"session_id": id, "created_at": messages[0]["timestamp"], "updated_at": messages[-1]["timestamp"], "messages": messages}
            out.write(json.dumps(session, ensure_ascii=False) + "\n")

data = Path(chatterbot_corpus.__file__).parent / "data"
with open(folder / "corpus.jsonl", "w", encoding="utf-8") as out:
    for path in sorted(data.rglob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for number, lines in enumerate(content["conversations"]):
            messages = [
                {"message_id": f"m{at + 1}", "role": "assistant" if at % 2 else "user", "content": str(text), "timestamp": "2026-01-01T00:00:00Z"}
                for at, text in enumerate(lines)
            ]
            session = {
                "session_id": f"{path.parent.name}-{path.stem}-{number}", "project_id": path.parent.name,
                "title": ", ".join(map(str, content.get("categories") or [])) or None,
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "messages": messages,
            }
            out.write(json.dumps(session, ensure_ascii=False) + "\n")
