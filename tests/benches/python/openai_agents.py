"""The SQLiteSession of the package openai-agents, doing a job.

usage: openai_agents.py JOB
"""
import asyncio
import time

from agents.memory.sqlite_session import SQLiteSession
from clock import folder, job, tell, texts


def open_session(number):
    return SQLiteSession(f"session-{number}", folder / "openai-agents.db")


def item(text):
    return {"role": "user", "content": text}


async def append():
    text = texts()
    sessions = [open_session(number) for number in range(job["callers"])]
    # Its worker threads open their connections before the clock starts.
    await asyncio.gather(*(session.add_items([item(next(text))]) for session in sessions))
    count = 0
    begin = time.perf_counter()

    async def call(session):
        nonlocal count
        while time.perf_counter() - begin < job["seconds"]:
            await session.add_items([item(next(text))])
            count += 1

    await asyncio.gather(*(call(session) for session in sessions))
    tell((time.perf_counter() - begin) / count)


async def last():
    text = texts()
    session = open_session(0)
    await session.add_items([item(next(text)) for _ in range(job["already"])])
    await session.get_items(50)
    count = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < job["seconds"]:
        assert len(await session.get_items(50)) == 50
        count += 1
    tell((time.perf_counter() - begin) / count)


asyncio.run({"append": append, "last": last}[job["operation"]]())
