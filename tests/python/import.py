"""Imports an exported session with the Python package, and prints what it read.

usage: import.py SESSION.json
"""
import json
import sys

from session_history_saver import SessionTracker

tracker = SessionTracker(backend="memory")
with open(sys.argv[1], encoding="utf-8") as file:
    session = tracker.import_session(json.load(file))
json.dump(session.to_dict(), sys.stdout)
