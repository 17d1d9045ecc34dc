"""A worker process of the tests: each job notes its beginning and its end in the table `notes`."""

import sys
import time

import psycopg

from derm_pacs.pipeline.queue import Task, announced, run_worker


def main() -> None:
    url, seconds = sys.argv[1], float(sys.argv[2])

    def note(what: str, subject: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO notes (what, subject) VALUES (%s, %s)", (what, subject))
            connection.execute("NOTIFY notes")

    def work(subject: int) -> None:
        note("begin", subject)
        time.sleep(seconds)  # the job's own work
        note("end", subject)

    with announced(url):
        run_worker(url, {Task.ANALYSE: work, Task.COMPOSE: work}, name="test", concurrency=4)


main()
