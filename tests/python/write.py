"""Fills a folder with data of the Python package, and with what its own reader makes of it.

usage: write.py FOLDER
writes FOLDER/history.db, FOLDER/history/*.json, and FOLDER/expected-{sqlite,json}.json
"""
import json
import sqlite3
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from session_history_saver import JSONStorage, SessionTracker, SQLiteStorage

folder = Path(sys.argv[1])


def fill(tracker):
    """The same conversations, whatever keeps them."""
    one = tracker.start_session(
        session_id="plain", user_id="alice", project_id="support", title="Billing \u2014 d\u00e9j\u00e0 vu",
        tags=["billing", "urgent", "\u90e8\u7f72"], metadata={"plan": "pro", "seats": 3, "nested": {"a": [1, 2.5, None, True]}},
    )
    tracker.add_user_message("plain", "I was double-charged. \U0001f62c", tokens=7)
    tracker.add_assistant_message(
        "plain", "I can see it.\nFixed: =1+1, \"quoted\", \\ and \u0000 NUL", tokens=18, model="claude-3-sonnet",
        latency_ms=410.123456789, metadata={"finish": "stop", "score": 0.1},
    )
    tracker.add_message("plain", role="tool", content="", status="error", tokens=0, latency_ms=0.0)
    tracker.add_system_message("plain", "ERROR: x", status="pending")
    tracker.end_session("plain")

    # No user, no project, no messages.
    tracker.start_session(session_id="empty")

    # Odd ids, and given ids and times.
    tracker.start_session(session_id="\u65e5\u672c CON.", user_id="bob", tags=["a"])
    tracker.add_message(
        "\u65e5\u672c CON.", role="user", content="old", message_id="given-1",
        timestamp=datetime(1, 1, 1, tzinfo=timezone.utc),
    )
    tracker.add_message(
        "\u65e5\u672c CON.", role="user", content="late", message_id="given-2",
        timestamp=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=0))),
    )
    tracker.add_message(
        "\u65e5\u672c CON.", role="assistant", content="elsewhere", message_id="given-3",
        timestamp=datetime(2026, 11, 22, 13, 30, tzinfo=timezone(timedelta(hours=2))),
    )

    # Long enough that pages matter.
    tracker.start_session(session_id="long", user_id="alice")
    for n in range(250):
        tracker.add_user_message("long", f"message {n} " + "x" * (n % 40), tokens=n)


def dump(storage, path):
    sessions = storage.list_sessions(limit=1000)
    path.write_text(json.dumps([s.to_dict() for s in sessions]), encoding="utf-8")


database = folder / "history.db"
fill(SessionTracker(backend="sqlite", db_path=str(database)))
# What its races leave: numbers that repeat, counts that are wrong.
with sqlite3.connect(database) as connection:
    connection.execute("UPDATE messages SET sort_order = sort_order / 2 WHERE session_id = 'long'")
    connection.execute("UPDATE sessions SET message_count = 3, total_tokens = 0 WHERE session_id = 'long'")
dump(SQLiteStorage(str(database)), folder / "expected-sqlite.json")

fill(SessionTracker(backend="json", storage_dir=str(folder / "history")))
dump(JSONStorage(str(folder / "history")), folder / "expected-json.json")
