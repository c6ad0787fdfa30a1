"""Whether a call may run: rules, questions, answers, and what happens where nobody answers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from proxy.errors.configuration import SettingError
from proxy.tools.consent import MAX_QUESTIONS, Consent, Decision, Question
from proxy.tools.runner import CallLimits, Runner
from proxy.tools.tool import Tool
from proxy.tools.workers import Workers

TRUSTED = Tool("trusted", "", {}, lambda arguments: "done")
STRANGE = Tool("server__write", "", {}, lambda arguments: "done", source="server", is_trusted=False)


class Someone:
    """An asker that answers at once, from another thread, and keeps what it was shown."""

    def __init__(self, consent: Consent, decision: Decision | None) -> None:
        self.consent = consent
        self.decision = decision
        self.shown: list[Question] = []
        self.withdrawn: list[Question] = []

    def ask(self, question: Question) -> None:
        self.shown.append(question)
        if self.decision:
            asyncio.get_running_loop().run_in_executor(None, self.consent.answer, question.id, self.decision)

    def withdraw(self, question: Question) -> None:
        self.withdrawn.append(question)


def consent_with(
    rules: dict[str, Any] | None = None, remembered: list[str] | None = None, wait_s: float = 20
) -> Consent:
    kept: list[str] = [] if remembered is None else remembered
    return Consent(lambda: rules or {}, kept.append, wait_s)


def permitted(consent: Consent, tool: Tool = STRANGE) -> bool:
    return asyncio.run(consent.permits(tool, '{"path": "a"}'))


@pytest.mark.parametrize(
    ("rules", "tool", "rule"),
    [
        ({}, TRUSTED, "auto"),
        ({}, STRANGE, "ask"),
        ({"trusted": "never"}, TRUSTED, "never"),
        ({"server__*": "auto"}, STRANGE, "auto"),
        ({"*": "never", "server__write": "ask"}, STRANGE, "ask"),
        ({"server__*": "auto", "*": "never"}, STRANGE, "auto"),
    ],
)
def test_the_users_rules_stand_before_the_defaults(rules: dict[str, Any], tool: Tool, rule: str) -> None:
    assert consent_with(rules).rule_for(tool) == rule


def test_auto_runs_and_never_does_not_without_a_question() -> None:
    consent = consent_with({"server__write": "never"})
    someone = Someone(consent, "yes")
    consent.attach(someone)

    assert permitted(consent, TRUSTED)
    assert not permitted(consent)
    assert someone.shown == []


def test_where_nobody_can_ask_the_answer_is_no() -> None:
    assert not permitted(consent_with())


@pytest.mark.parametrize(("decision", "allowed"), [("yes", True), ("no", False), ("always", True)])
def test_the_users_answer_counts(decision: Decision, allowed: bool) -> None:
    consent = consent_with()
    someone = Someone(consent, decision)
    consent.attach(someone)

    assert permitted(consent) is allowed
    [question] = someone.shown
    assert (question.tool, question.source, question.arguments) == ("server__write", "server", '{"path": "a"}')
    assert someone.withdrawn == [question]
    assert consent.questions == ()


def test_no_answer_is_a_no() -> None:
    consent = consent_with(wait_s=0.02)
    someone = Someone(consent, None)
    consent.attach(someone)

    assert not permitted(consent)
    assert someone.withdrawn == someone.shown
    assert not consent.answer(someone.shown[0].id, "yes")


def test_always_is_remembered_for_the_tool() -> None:
    remembered: list[str] = []
    consent = consent_with(remembered=remembered)
    consent.attach(Someone(consent, "always"))

    permitted(consent)

    assert remembered == ["server__write"]


def test_always_holds_for_the_session_where_it_cannot_be_kept() -> None:
    def refuse(name: str) -> None:
        raise SettingError("fixed by the environment")

    consent = Consent(dict, refuse)
    someone = Someone(consent, "always")
    detach = consent.attach(someone)

    assert permitted(consent)
    detach()
    assert permitted(consent)


def test_the_first_answer_counts_and_the_other_asker_is_told() -> None:
    consent = consent_with()
    silent, quick = Someone(consent, None), Someone(consent, "yes")
    consent.attach(silent)
    consent.attach(quick)

    assert permitted(consent)
    assert silent.withdrawn == quick.shown


def test_an_asker_that_fails_does_not_stop_the_others() -> None:
    class Broken(Someone):
        def ask(self, question: Question) -> None:
            raise RuntimeError("no screen")

    consent = consent_with()
    consent.attach(Broken(consent, None))
    assert not permitted(consent)

    consent.attach(Someone(consent, "yes"))
    assert permitted(consent)


def test_always_answers_the_other_open_questions_of_that_tool_too() -> None:
    consent = consent_with()
    consent.attach(Someone(consent, None))

    async def ask_twice() -> list[bool]:
        both = asyncio.gather(*(consent.permits(STRANGE, "{}") for _ in range(2)))
        while len(consent.questions) < 2:  # noqa: ASYNC110  this loop alone brings it about
            await asyncio.sleep(0)
        await asyncio.to_thread(consent.answer, consent.questions[0].id, "always")
        return await both

    assert asyncio.run(ask_twice()) == [True, True]


def test_a_request_that_leaves_takes_its_question_away() -> None:
    consent = consent_with()
    someone = Someone(consent, None)
    consent.attach(someone)

    async def leave() -> None:
        asking = asyncio.create_task(consent.permits(STRANGE, "{}"))
        while not someone.shown:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(leave())

    assert someone.withdrawn == someone.shown
    assert consent.questions == ()


def test_more_questions_than_anybody_reads_are_answered_no() -> None:
    consent = consent_with(wait_s=0.05)
    someone = Someone(consent, None)
    consent.attach(someone)

    async def ask_often() -> None:
        await asyncio.gather(*(consent.permits(STRANGE, "{}") for _ in range(MAX_QUESTIONS + 5)))

    asyncio.run(ask_often())

    assert len(someone.shown) == MAX_QUESTIONS


def test_a_refusal_is_told_to_the_model() -> None:
    runner = Runner(Workers())
    limits = CallLimits(5, 1000, 1000)

    record = asyncio.run(runner.run(STRANGE, STRANGE.name, "{}", limits, consent_with().permits))

    assert (record.outcome, record.result) == ("refused", "Error: The user did not allow this call.")


def test_always_stands_in_the_settings_file_afterwards(start_proxy: Callable[..., RunningProxy]) -> None:
    services = start_proxy().services
    services.tools.consent.attach(Someone(services.tools.consent, "always"))

    assert permitted(services.tools.consent)

    assert services.store.current.tool_consent == {"server__write": "auto"}
    assert "server__write" in services.store.path.read_text(encoding="utf-8")
    assert services.tools.consent.rule_for(STRANGE) == "auto"
