"""What is wrong with a bot, and where."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.bots.check import problems
from libs.common.documents import Bot, FaqEntry, FlowChoice, FlowStep
from tests.bots.bots import choices, faq_bot, flow_bot, web_bot

GOOD = FaqEntry(id="a", keywords=("price",), answers=("Ten.",))
MENU = FlowStep(id="menu", say="What?", choices=choices(Bye="bye", Human="human"))
BYE = FlowStep(id="bye", say="Bye.", end=True)
HUMAN = FlowStep(id="human", hand_off=True)
ASK = FlowStep(id="ask", say="Name?", ask="name", to="bye")


def changed(bot: Bot, **fields: object) -> Bot:
    return msgspec.structs.replace(bot, **fields)


def entry(**fields: object) -> Bot:
    return faq_bot(msgspec.structs.replace(GOOD, **fields))


def flow(*steps: FlowStep) -> Bot:
    """Return a flow that also has what the steps may lead to."""
    return flow_bot(*steps, BYE)


FINE = {
    "a list of questions": faq_bot(GOOD, msgspec.structs.replace(GOOD, id="b", language="pt-BR")),
    "a list without likeness": faq_bot(GOOD, fuzzy=101),
    "an entry that only hands off": entry(answers=(), hand_off=True),
    "an entry that only sends files": entry(answers=(), attachments=("att_1",)),
    "a flow": flow_bot(MENU, BYE, HUMAN),
    "a flow that asks and comes back": flow_bot(
        FlowStep(id="ask", say="Name?", ask="name", to="hello"),
        FlowStep(id="hello", say="Hello {{name}} of {{contact.city}}.", to="ask"),
    ),
    "a question with a time-out that gives it to a human": flow_bot(
        msgspec.structs.replace(ASK, wait_s=30), BYE
    ),
    "branches by what was asked and what is known": flow_bot(
        msgspec.structs.replace(ASK, when=(("name", "Bob", "human"), ("contact.vip", "*", "bye"))),
        BYE,
        HUMAN,
    ),
    "ten choices": flow(
        FlowStep(
            id="s",
            say="Which?",
            choices=tuple(FlowChoice(title=f"n{n}", to="bye") for n in range(10)),
        )
    ),
    "titles that are their own numbers": flow(
        FlowStep(id="s", say="Which?", choices=choices(**{"1": "bye", "2": "bye"}))
    ),
    "a webhook": web_bot(),
    "a webhook with port and query": web_bot("https://bot.example:8443/hook?key=1"),
}

ROUND = (
    "goes round without an answer of the visitor; a step with choices or a question (without a "
    "time-out back into it), hand_off or end is needed"
)
ANSWER = "an absolute https address of a public host is allowed, on port 443 or one from 1024"
PROBLEMS: dict[str, tuple[Bot, list[str]]] = {
    "no name": (changed(web_bot(), name=" "), ["name: is empty; a bot needs a name"]),
    "a webhook bot as automation": (
        changed(web_bot(), automation=True),
        ["automation: only bots of kind faq or flow answer in assigned sessions"],
    ),
    # --- questions
    "no entries": (faq_bot(), ["faq: has 0 entries; 1 to 1000 are allowed"]),
    "more to compare with than is allowed": (
        faq_bot(
            *(
                msgspec.structs.replace(
                    GOOD,
                    id=f"e{number}",
                    keywords=(),
                    questions=tuple(f"n{at}" for at in range(50)),
                )
                for number in range(100)
            ),
            msgspec.structs.replace(GOOD, questions=(), keywords=("too many",)),
        ),
        ["faq: has 5001 questions and keywords; at most 5000 are allowed"],
    ),
    "likeness too low": (
        faq_bot(GOOD, fuzzy=49),
        ["fuzzy: is 49; 50 to 100 are allowed, or 101 for no likeness at all"],
    ),
    "likeness too high": (
        faq_bot(GOOD, fuzzy=102),
        ["fuzzy: is 102; 50 to 100 are allowed, or 101 for no likeness at all"],
    ),
    "no misses": (changed(faq_bot(GOOD), misses=0), ["misses: is 0; 1 to 20 are allowed"]),
    "the same id twice": (
        faq_bot(GOOD, GOOD),
        [
            "faq[0].id: is 'a'; each entry needs an id of its own",
            "faq[1].id: is 'a'; each entry needs an id of its own",
        ],
    ),
    "an entry that nobody can ask": (
        entry(keywords=()),
        ["faq[0].questions: an entry needs a question or a keyword"],
    ),
    "a keyword that cannot be read": (
        entry(keywords=("ok", "?!")),
        ["faq[0].keywords[1]: needs 1 to 300 characters, a letter or digit"],
    ),
    "an entry without an answer": (
        entry(answers=()),
        ["faq[0].answers: is empty; an entry answers, sends an attachment or hands off"],
    ),
    "a blank answer": (
        entry(answers=("Yes.", "  ")),
        ["faq[0].answers[1]: needs 1 to 4000 characters"],
    ),
    "a long answer": (
        entry(answers=("x" * 4001,)),
        ["faq[0].answers[0]: needs 1 to 4000 characters"],
    ),
    "too many answers": (
        entry(answers=("x",) * 51),
        ["faq[0].answers: has 51; at most 50 are allowed"],
    ),
    "too many questions": (
        entry(questions=("x",) * 51),
        ["faq[0].questions: has 51; at most 50 are allowed"],
    ),
    "too many files": (
        entry(attachments=("x",) * 11),
        ["faq[0].attachments: takes at most 10 ids of stored files"],
    ),
    "no language": (
        entry(language="English!"),
        ["faq[0].language: is 'English!'; a tag such as en or pt-BR is allowed, or none"],
    ),
    # --- flows
    "no steps": (flow_bot(), ["steps: has 0; 1 to 500 are allowed"]),
    "a start that is none": (
        flow_bot(MENU, BYE, HUMAN, start="gone"),
        ["start: there is no step 'gone'; the id of a step is allowed, or none"],
    ),
    "a choice that leads nowhere": (
        flow(FlowStep(id="s", say="?", choices=choices(A="bye", B="gone"))),
        ["steps[0].choices[1].to: there is no step 'gone'; the id of a step is allowed"],
    ),
    "a step that leads nowhere": (
        flow_bot(FlowStep(id="s", say="x", to="gone")),
        ["steps[0].to: there is no step 'gone'; the id of a step is allowed"],
    ),
    "a branch that leads nowhere": (
        flow(FlowStep(id="s", say="x", when=(("contact.name", "x", "gone"),), to="bye")),
        ["steps[0].when[0]: there is no step 'gone'; the id of a step is allowed"],
    ),
    "a time-out that leads nowhere": (
        flow_bot(msgspec.structs.replace(ASK, wait_s=9, late_to="gone"), BYE),
        ["steps[0].late_to: there is no step 'gone'; the id of a step is allowed"],
    ),
    "an id that no payload carries": (
        flow(FlowStep(id="a:b", say="x", to="bye")),
        ["steps[0].id: 1 to 32 letters, digits, - and _ are allowed"],
    ),
    "two steps of one id": (
        flow(FlowStep(id="s", say="x", to="bye"), FlowStep(id="s", say="y", to="bye")),
        [
            "steps[0].id: 's' is used more than once; each step needs its own",
            "steps[1].id: 's' is used more than once; each step needs its own",
        ],
    ),
    "a step nobody comes to": (
        flow_bot(ASK, BYE, HUMAN),
        ["steps[2]: is never reached from 'ask'; a way there is needed"],
    ),
    "a way round without a question": (
        flow_bot(
            FlowStep(id="in", say="x", to="a"),
            FlowStep(id="a", say="x", to="b"),
            FlowStep(id="b", say="x", to="a"),
        ),
        [f"steps[{at}]: {ROUND}" for at in (1, 2)],
    ),
    "a time-out that asks again for ever": (
        flow_bot(msgspec.structs.replace(ASK, wait_s=5, late_to="ask"), BYE),
        [f"steps[0]: {ROUND}"],
    ),
    "a long way without a question": (
        flow_bot(
            *(FlowStep(id=f"s{at}", say="x", to=f"s{at + 1}") for at in range(40)),
            FlowStep(id="s40", say="x"),
        ),
        ["steps[0]: 41 steps follow without an answer of the visitor; at most 40 are allowed"],
    ),
    "too many choices": (
        flow(
            FlowStep(
                id="s",
                say="?",
                choices=tuple(FlowChoice(title=f"n{n}", to="bye") for n in range(11)),
            )
        ),
        ["steps[0].choices: has 11; at most 10 are allowed"],
    ),
    "two choices that read alike": (
        flow(FlowStep(id="s", say="?", choices=choices(Yes="bye", yes="bye"))),
        [
            f"steps[0].choices[{at}].title: reads like another choice's; each needs its own"
            for at in (0, 1)
        ],
    ),
    "a choice without a title": (
        flow(FlowStep(id="s", say="?", choices=(FlowChoice(title=" ", to="bye"),))),
        ["steps[0].choices[0].title: needs 1 to 80 characters"],
    ),
    "a title that is another's number": (
        flow(FlowStep(id="s", say="?", choices=choices(**{"2": "bye", "x": "bye"}))),
        ["steps[0].choices[0].title: is the number of another choice; a word is allowed"],
    ),
    "a question without words": (
        flow(msgspec.structs.replace(ASK, say="")),
        ["steps[0].say: is empty; a step with choices or a question needs a text"],
    ),
    "a step that does nothing": (
        flow_bot(FlowStep(id="s")),
        ["steps[0].say: is empty and nothing follows; a text, to, hand_off or end is needed"],
    ),
    "a long text": (
        flow(FlowStep(id="s", say="x" * 4001, to="bye")),
        ["steps[0].say: at most 4000 characters are allowed"],
    ),
    "a question that leads nowhere": (
        flow_bot(msgspec.structs.replace(ASK, to="")),
        ["steps[0].to: is empty; a question needs the step that follows when no branch fits"],
    ),
    "a next step behind choices": (
        flow(msgspec.structs.replace(MENU, choices=choices(A="bye"), to="bye")),
        ["steps[0].to: is never followed; a step with choices goes where the chosen one leads"],
    ),
    "branches behind choices": (
        flow(
            msgspec.structs.replace(
                MENU, choices=choices(A="bye"), when=(("contact.name", "x", "bye"),)
            )
        ),
        ["steps[0].when: is never looked at; a step with choices goes where the chosen one leads"],
    ),
    "both ends": (
        flow_bot(FlowStep(id="s", hand_off=True, end=True)),
        ["steps[0].end: a step either hands off or ends; one of both is allowed"],
    ),
    "an end that goes on": (
        flow_bot(FlowStep(id="s", say="x", end=True, to="s")),
        ["steps[0].to: a step that hands off or ends has no choices, question or next step"],
    ),
    "a wait without a question": (
        flow(FlowStep(id="s", say="x", to="bye", wait_s=10)),
        ["steps[0].wait_s: this step does not wait; only a step with choices or a question may"],
    ),
    "a wait too short": (
        flow(msgspec.structs.replace(ASK, wait_s=4)),
        ["steps[0].wait_s: is 4; 0 (for ever) or 5 to 604800 are allowed"],
    ),
    "a negative wait": (
        flow(msgspec.structs.replace(ASK, wait_s=-1)),
        ["steps[0].wait_s: is -1; 0 (for ever) or 5 to 604800 are allowed"],
    ),
    "a time-out without a wait": (
        flow(msgspec.structs.replace(ASK, late_to="bye")),
        ["steps[0].late_to: is never reached without wait_s"],
    ),
    "a variable with a bad name": (
        flow(msgspec.structs.replace(ASK, ask="@Name")),
        ["steps[0].ask: a to z, digits and _ are allowed, at most 32, a letter first"],
    ),
    "a place that nobody fills": (
        flow(FlowStep(id="s", say="Hi {{nobody}}", to="bye")),
        ["steps[0].say: no step asks for {{nobody}}; a variable that is asked for is allowed"],
    ),
    "a branch by what nobody fills": (
        flow(FlowStep(id="s", say="x", when=(("nobody", "x", "bye"),), to="bye")),
        ["steps[0].when[0]: no step asks for 'nobody'; one that is asked for is allowed"],
    ),
    "a branch by a blank": (
        flow(FlowStep(id="s", say="x", when=(("contact.name", " ", "bye"),), to="bye")),
        ["steps[0].when[0]: the value is blank; text, * (any) or nothing is allowed"],
    ),
    # --- webhooks
    "no address": (web_bot(""), [f"url: cannot be called; {ANSWER}"]),
    "http": (web_bot("http://bot.example/"), [f"url: cannot be called; {ANSWER}"]),
    "another scheme": (web_bot("ftp://bot.example/"), [f"url: cannot be called; {ANSWER}"]),
    "a relative address": (web_bot("/hook"), [f"url: cannot be called; {ANSWER}"]),
    "an address of the inside": (
        web_bot("https://10.0.0.8/"),
        [f"url: cannot be called; {ANSWER}"],
    ),
    "this machine": (web_bot("https://localhost/"), [f"url: cannot be called; {ANSWER}"]),
    "this machine, in version 6": (web_bot("https://[::1]/"), [f"url: cannot be called; {ANSWER}"]),
    "a password in it": (
        web_bot("https://me:secret@bot.example/"),
        [f"url: must not hold a name, password or fragment; {ANSWER}"],
    ),
    "a fragment": (
        web_bot("https://bot.example/#x"),
        [f"url: must not hold a name, password or fragment; {ANSWER}"],
    ),
    "a port that is none": (
        web_bot("https://bot.example:99999/"),
        [f"url: is no address; {ANSWER}"],
    ),
    "a long address": (
        web_bot("https://bot.example/" + "x" * 2000),
        ["url: is longer than 2000 characters"],
    ),
}


@pytest.mark.parametrize("bot", FINE.values(), ids=FINE)
def test_nothing_is_wrong_with(bot: Bot) -> None:
    assert list(problems(bot)) == []


@pytest.mark.parametrize(("bot", "expected"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_with(bot: Bot, expected: list[str]) -> None:
    assert list(problems(bot)) == expected


LOCAL = {
    "http here": ("http://127.0.0.1:8080/hook", True),
    "http here by name": ("http://localhost:8080/hook", True),
    "https elsewhere": ("https://bot.example/", True),
    "http elsewhere": ("http://bot.example/", False),
    "another machine inside": ("http://10.0.0.8/", False),
}


@pytest.mark.parametrize(("url", "fine"), LOCAL.values(), ids=LOCAL)
def test_for_trials_a_webhook_may_be_on_this_machine(url: str, fine: bool) -> None:
    assert (not list(problems(web_bot(url), local=True))) == fine
