"""Rules: in which order they are tried, and what each looks at and does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.documents import PolicyDocument
from libs.common.errors import InvalidInputError
from libs.common.policy import AnyAction, AnyCondition, Rule, Slug, Trigger
from libs.common.rules.conditions import patterns_of
from libs.common.rules.folding import read_patterns
from services.desk.api.policy_parts import (
    Kind,
    Name,
    check_texts,
    created,
    delete,
    found,
    part_id_of,
    put,
)
from services.desk.api.route import Call, Reply
from services.desk.policy_store import Change, changed, etag
from services.desk.policy_whole import (
    PATTERNS_MOST,
    Whole,
    warnings_of,
    whole_of,
)

MOST = 500
ORDER = "order"
"""No id: `/rules/order` is another thing."""

KIND: Kind[Rule] = Kind(word="rule", field="rules", most=MOST)


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule; `id` may repeat the one in the path, and is needed in a list.

    Where all `conditions` hold, all `actions` follow; with `stop` no later rule is tried.
    """

    id: str = ""
    name: Name = ""
    on: Trigger = "opened"
    enabled: bool = True
    conditions: Annotated[tuple[AnyCondition, ...], Meta(max_length=50)] = ()
    actions: Annotated[tuple[AnyAction, ...], Meta(max_length=20)]
    stop: bool = True


class ListedRule(RuleBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of a list."""

    id: Slug


class RulesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules, in their order."""

    items: Annotated[tuple[ListedRule, ...], Meta(max_length=MOST)]


class OrderBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ids of all rules, in the order in which they are to be tried."""

    ids: Annotated[tuple[Slug, ...], Meta(max_length=MOST)]


class RuleList(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule, in the order in which they are tried, and what is hardly meant about them."""

    items: tuple[Rule, ...]
    warnings: tuple[str, ...]
    next: str | None = None


class RuleKept(msgspec.Struct, frozen=True, kw_only=True):
    """The rule as it is now, and what is allowed but hardly meant about it."""

    item: Rule
    warnings: tuple[str, ...]


async def rules(call: Call) -> Reply:
    """List the rules."""
    whole = await whole_of(call.desk.store, call.who.workspace)
    warnings = warnings_of(whole, "rules")
    return Reply(
        body=RuleList(items=whole.parts.rules, warnings=warnings), headers=etag(whole.parts)
    )


async def rule(call: Call) -> Reply:
    """Show a rule.

    Raises:
        NotFoundError: No such rule in this workspace.
    """
    part, document = await found(call, KIND)
    return Reply(body=part, headers=etag(document))


async def put_rule(call: Call) -> Reply:
    """Create a rule, as the last one, or replace one in its place."""
    body: RuleBody = call.body
    made = rule_of(body, part_id_of(call, body.id))
    await read_aside((made,))
    done = await put(call, KIND, made)
    return Reply(
        status=created(KIND, done, made.id),
        body=RuleKept(item=made, warnings=done.warnings),
        headers=etag(done.document),
    )


async def put_rules(call: Call) -> Reply:
    """Replace all rules at once."""
    body: RulesBody = call.body
    made = tuple(rule_of(listed, listed.id) for listed in body.items)
    await read_aside(made, "items")
    return await _arranged(call, "rules.put", lambda _before: made, lambda rules: rules)


async def order_rules(call: Call) -> Reply:
    """Put the rules into another order.

    Raises:
        InvalidInputError: A rule is missing, unknown or named twice.
    """
    body: OrderBody = call.body

    def ordered(before: PolicyDocument) -> tuple[Rule, ...]:
        known = {rule.id: rule for rule in before.rules}
        if sorted(body.ids) != sorted(known):
            allowed = ", ".join(known) or "none, as there are no rules"
            raise InvalidInputError(
                "ids: each rule must be named once.", field="ids", allowed=allowed
            )
        return tuple(known[rule_id] for rule_id in body.ids)

    return await _arranged(call, "rules.order", ordered, lambda rules: [rule.id for rule in rules])


async def delete_rule(call: Call) -> Reply:
    """Delete a rule."""
    return Reply(status=204, headers=etag((await delete(call, KIND)).document))


async def _arranged(
    call: Call,
    action: str,
    arrange: Callable[[PolicyDocument], tuple[Rule, ...]],
    shown: Callable[[tuple[Rule, ...]], Any],
) -> Reply:
    def edit(_whole: Whole, before: PolicyDocument) -> PolicyDocument:
        return KIND.holding(before, arrange(before))

    done = await changed(
        call,
        Change(
            action=action,
            object="rules",
            own="rules",
            pick=lambda whole: whole.parts,
            edit=edit,
            shown=lambda document: shown(document.rules),
        ),
    )
    rules = done.document.rules
    return Reply(body=RuleList(items=rules, warnings=done.warnings), headers=etag(done.document))


def rule_of(body: RuleBody, rule_id: str) -> Rule:
    """Return the rule that *body* describes.

    Raises:
        InvalidInputError: The id is the name of something else.
    """
    if rule_id == ORDER:
        raise InvalidInputError(
            "id: no rule may be called 'order'.", field="id", allowed="another id"
        )
    return Rule(**(_fields(body) | {"id": rule_id}))


def _fields(body: RuleBody) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.__struct_fields__}


async def read_aside(rules: tuple[Rule, ...], place: str = "") -> None:
    """Check texts and compile patterns aside, where nobody waits; the check finds them read.

    *place* is where the list of rules stands in the body; empty: there is one alone.

    Raises:
        InvalidInputError: A text is not for keeping, or the patterns are too many.
    """
    patterns = patterns_of(rules)
    if len(patterns) > PATTERNS_MOST:
        allowed = f"at most {PATTERNS_MOST} patterns"
        field = place or "rules"
        raise InvalidInputError(f"There may be {allowed} in all.", field=field, allowed=allowed)
    await asyncio.to_thread(_read, rules, patterns, place)


def _read(rules: tuple[Rule, ...], patterns: list[str], place: str) -> None:
    for number, one in enumerate(rules):
        check_texts(one, f"{place}.{number}" if place else "")
    read_patterns(patterns)
