"""What would become of a message: decided by reading alone, so that a dry run and the real thing cannot differ.

In this order: topic, conditions, what can be made of it, whether it is wanted at all, whether something newer is known,
whether its video is there already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.catalogs import fingerprint
from worker.catalogs.fingerprint import Picture
from worker.catalogs.options import Options
from worker.catalogs.requests import LONGEST_REF, NoRequest, Recipe
from worker.catalogs.requests import request as of_product
from worker.renders.models import Render
from worker.renders.store import NewRender
from worker.templates import store as templates
from worker.templates.store import Archived, Found, Unknown
from worker.triggers import (
    conditions,
    equals,
    filling,
    mapping,
    messages,
    order,
    payloads,
    products,
    signatures,
    topics,
)
from worker.triggers.filling import Filled, NotFilledBy
from worker.triggers.messages import Message
from worker.triggers.models import Style, Trigger, TriggerThing, Verdict
from worker.triggers.payloads import NotJson
from worker.triggers.wanted import NotWanted, Wanted


@dataclass(frozen=True)
class Said:
    """A message whose signature is right, or one that was kept: its headers are those that are kept."""

    message: Message
    body: bytes
    ping: bool

    @classmethod
    def read(cls, style: Style, headers: Mapping[str, str], body: bytes) -> Self:
        """What it says, whatever it is."""
        return cls(messages.read(style, headers, body), body, signatures.ping(style, headers, body))

    def about(self, topic: str | None) -> Self:
        """The same under another topic; None: its own."""
        return self if topic is None else replace(self, message=replace(self.message, topic=topic), ping=False)

    def payload(self) -> Any:
        """The body's JSON. Raises NotJson."""
        return self.message.payload if self.message.payload is not None else payloads.read(self.body)


@dataclass(frozen=True)
class Plan:
    """What is to become of a message, and all that it takes; `request` where a render is to be made."""

    verdict: Verdict
    code: str | None = None
    detail: str | None = None
    ref: str | None = None
    """As its renders name it: the owner's `external_ref`."""
    revision: int | None = None
    sent_at: datetime | None = None
    product: Mapping[str, Any] = field(default_factory=dict[str, Any])
    request: NewRender | None = None
    fingerprint: str | None = None
    equal: Render | None = None
    """Whose video is, or will be, the same."""
    watched: Mapping[str, Any] | None = None
    """What a condition compares the next message with; None where there is, or will be, no video of this one."""
    template: str | None = None
    """As it was resolved: `name@3`."""
    template_id: str | None = None


@dataclass(frozen=True)
class Reference:
    """What a message is about."""

    ref: str | None
    """The owner's reference, with its prefix."""
    revision: int | None


NOTHING = Reference(None, None)


def plan(session: Session, trigger: Trigger, said: Said, *, force: bool = False, number: int | None = None) -> Plan:
    """What becomes of a message; writes nothing. `force`: a render is made although its video is there,
    whatever `changed` says, and though something newer is known. `number`: the message's, where it is on file."""
    if said.ping:
        return Plan(Verdict.IGNORED, detail="It only asks whether anybody is there.")
    if not topics.renders(Style(trigger.style), said.message.topic, trigger.topics):
        return Plan(Verdict.IGNORED, detail="None of the trigger's topics.")
    try:
        payload = said.payload()
    except NotJson as why:
        return Plan(Verdict.REFUSED, "trigger.not_json", f"The body is no JSON: {why}.")
    return _of_payload(session, trigger, payload, said.message.sent_at, force=force, number=number)


def reference(trigger: Trigger, said: Said) -> Reference:
    """What a message is about, without deciding anything, as far as it says so."""
    try:
        return _reference(trigger, _wanted(trigger, said.payload()))
    except NotJson:
        return NOTHING
    except NotWanted as error:
        return _reference(trigger, error)


def _reference(trigger: Trigger, wanted: Wanted | NotWanted) -> Reference:
    ref = _external_ref(trigger, wanted.ref)
    return Reference(ref, wanted.revision) if ref is None or len(ref) <= LONGEST_REF else NOTHING


def _of_payload(
    session: Session, trigger: Trigger, payload: Any, sent_at: datetime | None, *, force: bool, number: int | None
) -> Plan:
    try:
        wanted = _wanted(trigger, payload)
    except NotWanted as error:
        known = _reference(trigger, error)
        about = Plan(Verdict.CONDITION, ref=known.ref, revision=known.revision, sent_at=sent_at)
        checked = conditions.check(trigger.conditions, payload, None)
        if not checked.holds:
            return replace(about, detail=checked.why)
        return replace(about, verdict=Verdict.REFUSED, code=error.code, detail=error.detail)
    about = Plan(
        Verdict.CONDITION,
        ref=_external_ref(trigger, wanted.ref),
        revision=wanted.revision,
        sent_at=sent_at,
        product=wanted.locator,
    )
    if about.ref is not None and len(about.ref) > LONGEST_REF:
        detail = f"The ref has more than {LONGEST_REF} characters with its prefix: shorten it."
        return Plan(Verdict.REFUSED, "item.long_ref", detail)
    thing = session.get(TriggerThing, (trigger.id, about.ref), populate_existing=True) if about.ref else None
    since = thing.watched if thing and not force and _has_video(session, trigger, thing) else None
    checked = conditions.check(trigger.conditions, payload, since)
    if not checked.holds:
        return replace(about, detail=checked.why)
    made = _made(session, trigger, wanted, about, force=force)
    if made.verdict in (Verdict.RENDERED, Verdict.UNCHANGED):
        # Of a draft, say, there is no video: once it is none any more that is to be made, whatever changed since.
        made = replace(made, watched=checked.watched)
    return made if force else _with_age(session, trigger, thing, made, overtaken=_before(number, thing))


def _has_video(session: Session, trigger: Trigger, thing: TriggerThing) -> bool:
    """Whether the thing's last video stands, made with the template as it is now. Where not there is to be one, however
    little changed since: it failed, was deleted, or the template was mended."""
    render = session.get(Render, thing.render_id, populate_existing=True) if thing.render_id else None
    if render is None or not equals.stands(render):
        return False
    try:
        template = templates.resolve(session, trigger.owner_id, trigger.template)
    except (Unknown, Archived):
        return True  # there can be no other: that is said once something changed
    return render.template_version_id == template.version.id


def _before(number: int | None, thing: TriggerThing | None) -> bool:
    """Whether a message that came later was decided already: this one was held."""
    return number is not None and thing is not None and thing.number is not None and number < thing.number


def _with_age(session: Session, trigger: Trigger, thing: TriggerThing | None, plan: Plan, *, overtaken: bool) -> Plan:
    """The plan, stale where something newer is known of its thing. What is not to be rendered stays so."""
    if plan.verdict in (Verdict.REFUSED, Verdict.CONDITION):
        return plan
    newer = _newer(session, trigger, thing, plan, overtaken=overtaken)
    if newer is None:
        return plan
    return replace(plan, verdict=Verdict.STALE, detail=newer, request=None, equal=None, watched=None)


def _newer(
    session: Session, trigger: Trigger, thing: TriggerThing | None, plan: Plan, *, overtaken: bool
) -> str | None:
    """What is newer, in words."""
    if plan.ref is None or plan.template is None or plan.template_id is None:
        return None
    template = plan.template.partition("@")[0], plan.template_id
    known = order.known(session, trigger.owner_id, plan.ref, template) if plan.revision is not None else None
    if plan.revision is None or known is None:
        return f"A message about {plan.ref} that came after this one was decided" if overtaken else None
    if known < plan.revision:
        return None
    if known == plan.revision:
        if overtaken:
            return f"A message about revision {known} of {plan.ref} that came after this one was decided"
        its = thing is not None and (thing.revision, thing.counted_from) == (known, trigger.counts_from)
        later = its and thing is not None and _later(thing.sent_at, plan.sent_at)
        return f"A message about revision {known} of {plan.ref} was sent after this one" if later else None
    return f"{plan.ref} is at revision {known}, which is newer than {plan.revision}"


def _later(known: datetime | None, sent_at: datetime | None) -> bool:
    """Shopify's `updated_at` has seconds: of two edits in one the message says which is newer, where both do."""
    return known is not None and sent_at is not None and known > sent_at


def _made(session: Session, trigger: Trigger, wanted: Wanted, about: Plan, *, force: bool) -> Plan:
    try:
        template = templates.resolve(session, trigger.owner_id, trigger.template)
    except Unknown as error:
        return _refused(about, "template.unknown", f"{error}.")
    except Archived as error:
        return _refused(about, "template.archived", f"{error}.")
    recipe = Recipe(template, Options.read(trigger.options), trigger.api_key_id)
    if wanted.product is not None and not recipe.wants(wanted.product):
        what = "out of stock" if wanted.product.status == "active" else wanted.product.status
        return replace(about, detail=f"The product is {what}, which `include` does not have.")
    try:
        requested = _request(wanted, recipe, about)
    except NoRequest as error:
        return _refused(about, error.problem.code, error.problem.detail)
    except NotFilledBy as error:
        return _refused(about, error.code, error.detail)
    planned = replace(about, verdict=Verdict.RENDERED, request=requested.request, template=template.ref)
    planned = replace(planned, template_id=template.template.id)
    if about.ref is None:
        return planned
    number = _number(template, requested)
    equal = None if force else equals.newest(session, trigger.owner_id, number, requested.request)
    verdict = Verdict.UNCHANGED if equal is not None else Verdict.RENDERED
    return replace(planned, verdict=verdict, fingerprint=number, equal=equal)


def _refused(about: Plan, code: str, detail: str) -> Plan:
    return replace(about, verdict=Verdict.REFUSED, code=code, detail=detail[:500])


def _request(wanted: Wanted, recipe: Recipe, about: Plan) -> Filled:
    """Raises NoRequest, NotFilledBy."""
    if wanted.product is None:
        return filling.filled(wanted, recipe, about.ref)
    requested, _ = of_product(wanted.product, recipe)
    return Filled(replace(requested.request, external_ref=about.ref), requested.used, requested.pictures)


def _number(template: Found, requested: Filled) -> str:
    """Pictures count by address alone: a shop waits for its answer for five seconds, so that no server is asked. Shops
    give a picture that is replaced another address."""
    return fingerprint.of(
        template=template.version.id,
        ref=requested.request.external_ref,
        variables=requested.used,
        language=requested.request.language,
        output=requested.request.output,
        pictures=[Picture(address) for address in requested.pictures],
    )


def _wanted(trigger: Trigger, payload: Any) -> Wanted:
    """Raises NotWanted."""
    if trigger.mapping:
        return mapping.filled(payload, mapping.Mapping.read(trigger.mapping), Style(trigger.style))
    return products.wanted(Style(trigger.style), payload)


def _external_ref(trigger: Trigger, ref: str | None) -> str | None:
    return f"{Options.read(trigger.options).ref_prefix}{ref}" if ref else None


def one_at_a_time(session: Session, owner_id: str, ref: str | None) -> None:
    """Decide messages about one thing one after the other, from here to this transaction's end: of two in the same
    moment the second sees what the first made."""
    if ref is not None:
        lock = f"triggers\n{owner_id}\n{ref}"
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(lock, 0))))
