"""`derm-pacs cases retry|cancel`: what a person does to a case."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from derm_pacs.cli.cases import no_such_case
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, CaseKey, Config, Reason
from derm_pacs.domain.case import ForbiddenStep, State
from derm_pacs.ledger import reading
from derm_pacs.ledger.database import Database
from derm_pacs.pipeline import person


class _Act(Protocol):
    def __call__(self, database: Database, case_id: int, *, actor: str, reason: str, now: datetime) -> State: ...


def retry(case: CaseKey, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG) -> None:
    """Take a held case on from where it was held.

    What is finished is not done again: a case held in delivery is only delivered again.

    Examples:
        derm-pacs cases retry 17 --reason "the PACS is back"
    """
    _act(person.retry, case, config, actor, reason)


def cancel(case: CaseKey, *, reason: Reason, actor: Actor, config: Config = DEFAULT_CONFIG) -> None:
    """End a case for good; nothing more is sent.

    What was sent before stays at the destination. A late image opens the case's next revision.

    Examples:
        derm-pacs cases cancel 17 --reason "sent by mistake"
    """
    _act(person.cancel, case, config, actor, reason)


def _act(act: _Act, case: str, config: Path, actor: str, reason: str) -> None:
    with opened(config) as here:
        case_id = here.database.transaction(lambda tx: reading.case_id_of(tx, case))
        if case_id is None:
            raise no_such_case(case)
        try:
            state = act(here.database, case_id, actor=actor, reason=reason, now=datetime.now(UTC))
        except ForbiddenStep as error:
            raise CommandError(ExitCode.REFUSED, str(error), f"see: derm-pacs cases show {case_id}") from error
    print(f"case {case_id} is {state}")
