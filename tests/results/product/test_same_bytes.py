"""The same case composed twice, on two days and by two processes, gives byte-identical objects, in every edition.

The second process believes that it is another year: every clock that Python offers is set forward before anything else
is loaded. It has another time zone, another order of sets, another folder and another language.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from derm_pacs.domain.composed import Form
from tests.conftest import REPOSITORY
from tests.results.product.axes import Answer

pytestmark = pytest.mark.server

PROGRAM = """
import datetime, sys, time
ahead = float(sys.argv[1])
real_time, real_datetime, real_date = time.time, datetime.datetime, datetime.date
class Later(real_datetime):
    @classmethod
    def now(cls, tz=None): return cls.fromtimestamp(real_time() + ahead, tz)
    @classmethod
    def utcnow(cls): return cls.fromtimestamp(real_time() + ahead, datetime.timezone.utc).replace(tzinfo=None)
    @classmethod
    def today(cls): return cls.now()
    def date(self): return LaterDate(self.year, self.month, self.day)
class LaterDate(real_date):
    @classmethod
    def today(cls): return Later.now().date()
gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
time.time = lambda: real_time() + ahead
time.time_ns = lambda: int((real_time() + ahead) * 1e9)
time.gmtime = lambda seconds=None: gmtime(real_time() + ahead if seconds is None else seconds)
time.localtime = lambda seconds=None: localtime(real_time() + ahead if seconds is None else seconds)
time.strftime = lambda form, of=None: strftime(form, time.localtime() if of is None else of)
datetime.datetime, datetime.date = Later, LaterDate

sys.path.insert(0, sys.argv[2])
import hashlib
from dataclasses import replace
from tests.results.product.axes import Answer, Frames, Name
from tests.results.product.test_findings import PHOTOGRAPH
from tests.results.product.told import case
print(datetime.datetime.now().year)
for answer in Answer:
    made = case(replace(PHOTOGRAPH, answer=answer, frames=Frames.SEVERAL, name=Name.JAPANESE))
    for one in made.composed:
        print(answer.name, one.form, one.sop_instance_uid, hashlib.sha256(one.data).hexdigest())
"""


def composed(folder: Path, ahead: float, **environment: str) -> list[str]:
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(ahead), str(REPOSITORY)], cwd=folder, capture_output=True,
        text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-3000:]
    return told.stdout.splitlines()


def test_another_process_on_another_day_makes_the_same_bytes(tmp_path: Path) -> None:
    here = composed(REPOSITORY, 0, TZ="UTC", PYTHONHASHSEED="1", LC_ALL="C.UTF-8")
    there = composed(tmp_path, 400 * 86400, TZ="Pacific/Auckland", PYTHONHASHSEED="2", LC_ALL="C", LANG="C")
    assert int(there[0]) > int(here[0])
    assert here[1:] == there[1:]
    assert {line.split()[0] for line in here[1:]} == {one.name for one in Answer}
    assert {line.split()[1] for line in here[1:]} == set(Form)
