"""Writes the messages of real conversations, of the package chitchat-dataset, into one JSON file.

usage: texts.py FILE
"""
import json
import sys
from pathlib import Path

from chitchat_dataset import Dataset

turns = (turn for conversation in Dataset().values() for turn in conversation["messages"])
texts = [said["text"] for turn in turns for said in turn if said["text"].strip()]
Path(sys.argv[1]).write_text(json.dumps(texts), encoding="utf-8")
