"""`vivideo triggers …`: a shop's webhooks set off renders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli import trigger_asking
from api.cli.groups import group
from api.cli.options import Json, Priority
from api.cli.reporting import connected, say, show_json, words

if TYPE_CHECKING:
    from api.client import Client, Trigger, TriggerDelivery, TriggerTrial

HELP = """Let a shop's webhooks set off renders; what did not change costs nothing.

\b
  vivideo triggers create --style shopify --template promo --secret -
  vivideo triggers test trg_… product.json
  vivideo triggers deliveries trg_… --verdict refused
"""

app = group(HELP)

Style = Literal["shopify", "woocommerce", "standard", "github", "stripe", "bearer"]
Verdict = Literal["rendered", "unchanged", "stale", "ignored", "condition", "refused", "held"]
Many = list[str] | None

TriggerId = Annotated[str, typer.Argument(metavar="ID", help="`trg_…`", show_default=False)]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="`tdl_…`", show_default=False)]
TEMPLATE = typer.Option("--template", "-t", metavar="NAME[@N]", help="That its messages fill.", show_default=False)
Name = Annotated[str | None, typer.Option(help="For people.")]
Secret = Annotated[
    str | None, typer.Option(help="What it signs with; - reads it from standard input. Made for you otherwise.")
]
Topics = Annotated[Many, typer.Option("--topic", metavar="TOPIC", help="That may render: products/update, products/*.")]
When = Annotated[
    Many, typer.Option("--when", metavar="POINTER=TEXT", help="Only then; also POINTER!=TEXT, POINTER:=JSON.")
]
Changed = Annotated[Many, typer.Option("--changed", metavar="POINTER", help="Only when one of these is another.")]
Exists = Annotated[Many, typer.Option("--exists", metavar="POINTER", help="Only where something is there.")]
Variables = Annotated[
    Many, typer.Option("--var", metavar="NAME=POINTER", help="A variable of the template; NAME:=JSON is always so.")
]
Pictures = Annotated[Many, typer.Option("--picture", metavar="POINTER", help="Addresses: /images/*/src.")]
Ref = Annotated[str | None, typer.Option("--ref", metavar="POINTER", help="What tells one thing from another.")]
Revision = Annotated[str | None, typer.Option("--revision", metavar="POINTER", help="A number or a time: /updated_at.")]
Publisher = Annotated[str | None, typer.Option(metavar="ID", help="Brings the videos to their products: pub_…")]
Include = Annotated[Many, typer.Option(help="draft, archived, out_of_stock: left out otherwise.")]
RefPrefix = Annotated[str | None, typer.Option(help="Before each reference: two shops may share some.")]
Language = Annotated[str | None, typer.Option(help="Of the videos; the template's, or detected.")]
Importance = Annotated[Priority | None, typer.Option("--priority", help="Of the renders.")]
Tags = Annotated[Many, typer.Option("--tag", metavar="TAG", help="Of the renders; the template's otherwise.")]
Key = Annotated[str | None, typer.Option(help="A text of your own, to repeat the command with.")]


@app.command()
def create(
    style: Annotated[Style, typer.Option(help="How its messages are signed.", show_default=False)],
    template: Annotated[str, TEMPLATE],
    name: Name = None,
    secret: Secret = None,
    topic: Topics = None,
    when: When = None,
    changed: Changed = None,
    exists: Exists = None,
    var: Variables = None,
    picture: Pictures = None,
    ref: Ref = None,
    revision: Revision = None,
    publisher: Publisher = None,
    include: Include = None,
    ref_prefix: RefPrefix = None,
    language: Language = None,
    priority: Importance = None,
    tag: Tags = None,
    paused: Annotated[bool, typer.Option("--paused", help="Keep what comes, and wait.")] = False,
    idempotency_key: Key = None,
    as_json: Json = False,
) -> None:
    """Take a source of webhooks on, and show the address and the secret to give it.

    Without a mapping (--var, --picture, --ref, --revision) its messages are products, as a shop sends them.

    \b
      vivideo triggers create --style shopify -t promo --secret - --changed /title --changed /images
      vivideo triggers create --style bearer -t news --var headline=/title --ref /id --when /state=published
    """
    mapped = trigger_asking.mapping({}, var or [], picture or [], {"external_ref": ref, "revision": revision})
    given: dict[str, Any] = {
        "name": name,
        "secret": trigger_asking.secret(secret),
        "topics": topic,
        "mapping": mapped or None,
        "conditions": trigger_asking.conditions(when or [], changed or [], exists or []) or None,
        "publisher_id": publisher,
        "options": _options(include, ref_prefix, language, priority, tag) or None,
        "paused": paused or None,
    }
    with connected(as_json=as_json) as client:
        fields = {key: value for key, value in given.items() if value is not None}
        made = client.create_trigger(style, template, idempotency_key=idempotency_key, **fields)
        _shown(client, made, as_json=as_json)


def _options(
    include: Many, ref_prefix: str | None, language: str | None, priority: str | None, tags: Many
) -> dict[str, Any]:
    given = {"include": include, "ref_prefix": ref_prefix, "language": language, "priority": priority, "tags": tags}
    return {name: value for name, value in given.items() if value is not None}


def _shown(client: "Client", found: "Trigger", *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    from api.cli import trigger_rows

    return trigger_rows.show(words(), found, client.base_url)


@app.command("list")
def listed(limit: Annotated[int, typer.Option(min=1, max=200)] = 50, as_json: Json = False) -> None:
    """List your triggers, newest first."""
    with connected(as_json=as_json) as client:
        page = client.triggers(limit=limit)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import trigger_rows

        trigger_rows.show_list(words(), page.data)
        if page.next_cursor:
            say(f"these are the newest {len(page.data)}; --limit 200 shows more")
        return None


@app.command()
def show(trigger_id: TriggerId, as_json: Json = False) -> None:
    """Show a trigger: its address, what it takes, what it makes of it."""
    with connected(as_json=as_json) as client:
        _shown(client, client.trigger(trigger_id), as_json=as_json)


@app.command()
def update(
    trigger_id: TriggerId,
    template: Annotated[str | None, TEMPLATE] = None,
    name: Name = None,
    topic: Topics = None,
    when: When = None,
    changed: Changed = None,
    exists: Exists = None,
    var: Variables = None,
    picture: Pictures = None,
    ref: Ref = None,
    revision: Revision = None,
    publisher: Publisher = None,
    include: Include = None,
    ref_prefix: RefPrefix = None,
    language: Language = None,
    priority: Importance = None,
    tag: Tags = None,
    clear: Annotated[Many, typer.Option(metavar="PART", help="Take back: conditions, mapping, topics, …")] = None,
    as_json: Json = False,
) -> None:
    """Change a trigger; what is not named stays.

    Conditions are replaced as a whole, of a mapping each variable by its name.

    \b
      vivideo triggers update trg_… --template promo@4
      vivideo triggers update trg_… --clear conditions
    """
    conditions = trigger_asking.conditions(when or [], changed or [], exists or [])
    options = _options(include, ref_prefix, language, priority, tag)
    others = {"external_ref": ref, "revision": revision}
    cleared = trigger_asking.cleared(clear or [])
    with connected(as_json=as_json) as client:
        now = client.trigger(trigger_id)
        before = {} if "mapping" in cleared else now.mapping
        mapped = trigger_asking.mapping(before, var or [], picture or [], others)
        given: dict[str, Any] = {
            "template": template,
            "name": name,
            "topics": topic,
            "conditions": conditions or None,
            "mapping": mapped if mapped != before else None,
            "publisher_id": publisher,
            "options": now.options | options if options else None,
        }
        changes = cleared | {key: value for key, value in given.items() if value is not None}
        _shown(client, client.change_trigger(trigger_id, **changes) if changes else now, as_json=as_json)


@app.command()
def pause(trigger_id: TriggerId, as_json: Json = False) -> None:
    """Keep what comes, and decide it once the trigger goes on."""
    with connected(as_json=as_json) as client:
        _said(client.change_trigger(trigger_id, paused=True), "paused: what comes is kept", as_json=as_json)


@app.command()
def resume(trigger_id: TriggerId, as_json: Json = False) -> None:
    """Let a trigger go on, with what it kept first."""
    with connected(as_json=as_json) as client:
        _said(client.change_trigger(trigger_id, paused=False), "goes on", as_json=as_json)


def _said(found: "Trigger", what: str, *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    return words().print(f"{found.id} {what}", markup=False)


@app.command()
def delete(trigger_id: TriggerId) -> None:
    """Forget a trigger and its messages; its renders and videos stay."""
    with connected() as client:
        client.delete_trigger(trigger_id)


@app.command()
def rotate(
    trigger_id: TriggerId,
    secret: Secret = None,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="So many seconds the one before is taken too; a day by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a trigger another secret, shown this once; then give it to the shop.

    \b
      vivideo triggers rotate trg_… --overlap 3600
    """
    given = trigger_asking.secret(secret)
    with connected(as_json=as_json) as client:
        made = client.rotate_trigger_secret(trigger_id, secret=given, overlap_seconds=overlap)
        _shown(client, made, as_json=as_json)


@app.command()
def deliveries(
    trigger_id: TriggerId,
    verdict: Annotated[Verdict | None, typer.Option(help="Those alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """List what came, newest first, and what became of it."""
    with connected(as_json=as_json) as client:
        page = client.trigger_deliveries(trigger_id, verdict=verdict, limit=limit)
        if as_json:
            return show_json(page.to_dict())
        from api.cli import trigger_rows

        trigger_rows.show_deliveries(words(), page.data, verdict)
        if page.next_cursor:
            say(f"these are the newest {len(page.data)}; --limit 200 shows more")
        return None


@app.command()
def delivery(delivery_id: DeliveryId, as_json: Json = False) -> None:
    """Show a message: its verdict and why, its headers without secrets, its body."""
    with connected(as_json=as_json) as client:
        _delivery(client.trigger_delivery(delivery_id), as_json=as_json)


@app.command()
def replay(
    delivery_id: DeliveryId,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Render although its video is there, and pay again.")] = False,
    idempotency_key: Key = None,
    as_json: Json = False,
) -> None:
    """Decide a message anew, as its trigger is now."""
    with connected(as_json=as_json) as client:
        if dry_run:
            return _trial(client.try_replay(delivery_id, force=force), as_json=as_json)
        made = client.replay_delivery(delivery_id, force=force, idempotency_key=idempotency_key)
        return _delivery(made, as_json=as_json)


@app.command("test")
def trial(
    trigger_id: TriggerId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A body; - is standard input.", show_default=False)],
    topic: Annotated[str | None, typer.Option(help="What it is about; one that may render by default.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a message would come to: the prompt and the pictures, or why there would be no render.

    Nothing is kept or charged, and no signature is needed.

    \b
      vivideo triggers test trg_… product.json
      curl … | vivideo triggers test trg_… -
    """
    body = trigger_asking.body(file)
    with connected(as_json=as_json) as client:
        found = client.trigger(trigger_id)
        about = trigger_asking.topic(topic, found.style, found.topics)
        _trial(client.try_trigger(trigger_id, body, topic=about), as_json=as_json)


def _delivery(found: "TriggerDelivery", *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    from api.cli import trigger_rows

    return trigger_rows.show_delivery(words(), found)


def _trial(found: "TriggerTrial", *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    from api.cli import trigger_rows

    return trigger_rows.show_trial(words(), found)
