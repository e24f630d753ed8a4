"""What the scripts have in common: the job, its texts, and the measuring."""
import json
import sys
import time
from itertools import cycle
from pathlib import Path

job = json.loads(sys.argv[1])
folder = Path(job["folder"])


def texts():
    """The texts of the job, endlessly."""
    return cycle(json.loads(Path(job["texts"]).read_text(encoding="utf-8")))


def measure(operation):
    """Repeats an operation for the job's time, at least once; prints the seconds that each one took."""
    operation()
    count = 0
    begin = time.perf_counter()
    while count == 0 or time.perf_counter() - begin < job["seconds"]:
        operation()
        count += 1
    tell((time.perf_counter() - begin) / count)


def tell(each):
    """Prints the seconds that each operation took."""
    print(json.dumps({"each": each}))
