"""The Python package session-history-saver, doing a job.

usage: package.py JOB
"""
import threading
import time

from clock import folder, job, measure, tell, texts
from session_history_saver import SessionTracker
from session_history_saver.models import Message, Session

BACKENDS = {
    "sqlite": dict(backend="sqlite", db_path=str(folder / "python.db")),
    "folder": dict(backend="json", storage_dir=str(folder / "python")),
    "memory": dict(backend="memory"),
}


def open_tracker():
    return SessionTracker(**BACKENDS[job["backend"]])


def fill(tracker, number, count, text, **details):
    """Stores a session with so many messages."""
    session = Session(session_id=f"session-{number}", **details)
    for _ in range(count):
        session.add_message(Message(role="user", content=next(text)))
    tracker._storage.save_session(session)


def append():
    tracker, text, callers = open_tracker(), texts(), job["callers"]
    for number in range(callers):
        fill(tracker, number, job["already"], text)
    if callers == 1:
        # With the session in its own cache, as it is after start_session.
        tracker.resume_session("session-0")
        measure(lambda: tracker.add_message("session-0", role="user", content=next(text)))
        return
    counts = [0] * callers
    lock = threading.Lock()

    def call(number, until):
        while time.perf_counter() < until:
            with lock:
                content = next(text)
            tracker.add_message(f"session-{number}", role="user", content=content)
            counts[number] += 1

    begin = time.perf_counter()
    threads = [threading.Thread(target=call, args=(n, begin + job["seconds"])) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell((time.perf_counter() - begin) / max(sum(counts), 1))


def read():
    tracker, text = open_tracker(), texts()
    for number in range(8):
        fill(tracker, number, job["already"], text)
    # A fresh tracker has nothing in its cache.
    tracker = open_tracker()
    turn = iter(range(1 << 60))

    def one():
        session = tracker.get_session(f"session-{next(turn) % 8}")
        assert len(session.messages) == job["already"]

    measure(one)


def fill_library():
    tracker, text = open_tracker(), texts()
    per_session, number = job["already"], 0
    for session in range(job["sessions"]):
        one = Session(session_id=f"session-{session}", user_id=f"user-{session % 100}", project_id="bench")
        for _ in range(per_session):
            number += 1
            one.add_message(Message(role="user", content=next(text) + mark(number)))
        tracker._storage.save_session(one)
    tell(0)


def mark(number):
    """Words whose frequency is known: the same as in ours."""
    if number % 10_000 == 7:
        return " zirconium"
    if number % 1_000 == 3:
        return " 新しい部署です"
    return ""


def listing():
    tracker = open_tracker()
    measure(lambda: tracker.list_sessions(limit=50))


def search():
    tracker = open_tracker()
    text = job["query"].strip('"')
    measure(lambda: tracker.search(text, limit=20))


def stats():
    tracker = open_tracker()
    measure(tracker.stats)


{
    "append": append,
    "read": read,
    "fill_library": fill_library,
    "list": listing,
    "search": search,
    "stats": stats,
}[job["operation"]]()
