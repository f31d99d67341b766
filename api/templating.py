"""Templates at the intake: made once under a key, filled for a render or to be looked at; what is wrong as problems."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api import idempotency
from api.auth import Caller
from api.bodies import HintBody, PreviewBody, TemplateBody, TemplateDryRunBody, TemplateVersionBody
from api.database import transact
from api.idempotency import Earlier, Key
from api.problems import FieldError, Problem
from api.schemas import PreviewRequest, TemplateContent, TemplateRequest, VideoRequest
from api.template_views import content_body, template_body, version_body
from worker.database import new_id
from worker.remote import hints, language
from worker.templates import store
from worker.templates.errors import Invalid, NotFilled, WrongVariables
from worker.templates.filling import filler
from worker.templates.language import used
from worker.templates.store import Content, Found, Unknown

ROUTE = "POST /v1/templates"
NAMED = 20
"""Wrong variables named in one answer."""


@dataclass(frozen=True)
class Words:
    """What a render is asked for with: the prompt and what goes with it, and the version that made it, if any."""

    prompt: str
    language: str
    tags: list[str]
    version_id: str | None = None
    template: str | None = None
    """`name@3`."""
    own: str | None = None
    """What of the prompt the template says itself, without the texts put in; None: there is no template."""


def written(request: VideoRequest) -> Words | None:
    """The words of a request with a prompt; None for one with a template."""
    if request.prompt is None:
        return None
    return Words(request.prompt, request.language or language.detect(request.prompt), request.tags)


def resolved(session: Session, owner_id: str, ref: str) -> Found:
    """The version that a request names. Raises Problem `template.unknown`, Archived."""
    try:
        return store.resolve(session, owner_id, ref)
    except Unknown as problem:
        raise Problem("template.unknown", f"{problem}.", errors=[FieldError("/template", "there is none")]) from None


def filled(
    request: VideoRequest,
    found: Found,
    *,
    strict: bool = True,
    detect: Callable[[str], str] = language.detect,
) -> Words:
    """The words of a request with a template. What the request leaves out is the version's; `strict` is that of
    `variables.bound`.

    Raises Problem `template.variables`.
    """
    prompt = _prompt(found, request.variables, strict=strict)
    return Words(
        prompt,
        request.language or found.version.language or detect(prompt),
        request.tags if "tags" in request.model_fields_set else found.version.tags,
        found.version.id,
        found.ref,
        filler(found.version).own_words(request.variables, strict=strict),
    )


def _prompt(found: Found, variables: dict[str, object], *, strict: bool = True) -> str:
    """Raises Problem `template.variables`."""
    try:
        return filler(found.version).fill(variables, strict=strict)
    except WrongVariables as problem:
        errors = [FieldError(_pointer(name), reason) for name, reason in problem.wrong.items()]
        named = ", ".join(one.pointer for one in errors[:3])
        raise Problem("template.variables", f"{found.ref}: not as declared: {named}", errors=errors[:NAMED]) from None
    except NotFilled as problem:
        errors = [FieldError("/variables", str(problem))]
        raise Problem("template.variables", f"{found.ref} cannot be filled: {problem}", errors=errors) from None


def _pointer(name: str) -> str:
    return "/variables" + ("/" + name.replace("~", "~0").replace("/", "~1") if name else "")


def not_found(ref: str) -> Problem:
    """The problem of a template that is not there, or somebody else's, where the address names it."""
    return Problem("template.not_found", f"You have no template {ref[:80]}.")


def found(session: Session, caller: Caller, ref: str, number: int | None = None) -> Found:
    """The template at an address, archived or not. Raises Problem `template.not_found`."""
    try:
        return store.get(session, caller.owner_id, ref if number is None else f"{ref}@{number}")
    except Unknown as problem:
        raise not_found(problem.ref) from None


@dataclass(frozen=True)
class Made:
    """What a request led to, and whether an earlier one with its key had."""

    body: TemplateBody
    replayed: bool


def create(caller: Caller, request: TemplateRequest, key: Key) -> Made:
    """A template and its first version. Raises Problem `template.invalid`, `idempotency.…`, Exists."""
    content, template_id = _content(request), new_id("tpl")
    hashed = idempotency.body_hash(request.model_dump(mode="json"))

    def work(session: Session) -> Made:
        def make() -> Found:
            return store.create(session, caller.owner_id, request.name, content, template_id=template_id)

        made = idempotency.once(session, caller.owner_id, ROUTE, key, hashed, template_id, make)
        if isinstance(made, Earlier):
            return Made(template_body(found(session, caller, made.resource_id)), replayed=key.given)
        return Made(template_body(made), replayed=False)

    return transact(work)


def rehearse(caller: Caller, request: TemplateRequest) -> TemplateDryRunBody:
    """What `create` would make; writes nothing. Raises Problem `template.invalid`, Exists."""
    content = _content(request)
    if transact(lambda session: store.taken(session, caller.owner_id, request.name)):
        raise store.Exists(request.name)
    return TemplateDryRunBody(name=request.name, content=content_body(content), hints=_unused(content))


@dataclass(frozen=True)
class MadeVersion:
    """As `Made`, for a version."""

    body: TemplateVersionBody
    replayed: bool


def new_version(caller: Caller, ref: str, request: TemplateContent, key: Key) -> MadeVersion:
    """The template's next version.

    Raises Problem `template.invalid`, `template.not_found`, `idempotency.…`, Archived.
    """
    content, version_id = _content(request), new_id("tpv")
    hashed = idempotency.body_hash(request.model_dump(mode="json"))

    def work(session: Session) -> MadeVersion:
        template = found(session, caller, ref).template
        route = f"POST /v1/templates/{template.id}/versions"

        def make() -> Found:
            return store.new_version(session, caller.owner_id, template.id, content, version_id=version_id)

        made = idempotency.once(session, caller.owner_id, route, key, hashed, version_id, make)
        if isinstance(made, Earlier):
            earlier = store.made(session, caller.owner_id, made.resource_id)
            assert earlier is not None, "versions are never deleted"
            return MadeVersion(version_body(earlier), replayed=key.given)
        return MadeVersion(version_body(made), replayed=False)

    return transact(work)


def preview(session: Session, caller: Caller, ref: str, request: PreviewRequest) -> PreviewBody:
    """What a render with these variables would be asked for with.

    Raises Problem `template.not_found`, `template.variables`.
    """
    this = found(session, caller, ref, request.version)
    prompt = _prompt(this, request.variables)
    return PreviewBody(
        template=this.ref,
        prompt=prompt,
        language=this.version.language or language.detect(prompt),
        hints=[HintBody(code=hint.code, message=hint.message) for hint in hints.hints(prompt, [])],
    )


def archive(caller: Caller, ref: str) -> None:
    """Raises Problem `template.not_found`."""

    def work(session: Session) -> None:
        try:
            store.archive(session, caller.owner_id, ref)
        except Unknown:
            raise not_found(ref) from None

    transact(work)


def _content(request: TemplateContent) -> Content:
    """Raises Problem `template.invalid`."""
    content = Content(request.prompt, request.variables, request.language, request.tags)
    try:
        content.check()
    except Invalid as problem:
        raise Problem("template.invalid", f"{problem}.", errors=[FieldError("/prompt", str(problem))]) from None
    return content


def _unused(content: Content) -> list[HintBody]:
    unused = sorted(set(content.variables) - used(content.prompt))
    return [HintBody(code="template.unused", message=f"{name} is declared and not used.") for name in unused]
