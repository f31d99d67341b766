"""`vivideo publishers …`: where finished videos are brought to."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli import credentials
from api.cli.groups import group
from api.cli.options import Json
from api.cli.reporting import Exit, Mistake, connected, say, show_json, words

if TYPE_CHECKING:
    from api.client import Publisher

HELP = """Bring finished videos to the products that they are for.

\b
  vivideo publishers create shopify --shop lamps.myshopify.com --token-from token.txt
  vivideo publishers check pub_…
  vivideo triggers update trg_… --publisher pub_…
"""

app = group(HELP)

Kind = Literal["shopify", "woocommerce", "http"]
Method = Literal["POST", "PUT"]
PublisherId = Annotated[str, typer.Argument(metavar="ID", help="pub_…", show_default=False)]
Text = str | None


def _place(help: str) -> Any:
    return typer.Option(metavar=credentials.FROM, help=help)


Name = Annotated[Text, typer.Option(help="For people.")]
Shop = Annotated[Text, typer.Option(metavar="NAME.myshopify.com", help="shopify: the shop.")]
Url = Annotated[Text, typer.Option(metavar="URL", help="woocommerce: WordPress; http: where the video is sent.")]
Alt = Annotated[Text, typer.Option(metavar="TEXT", help="shopify: alternative text of the videos.")]
ApiVersion = Annotated[Text, typer.Option(metavar="YYYY-MM", help="shopify: of its Admin API.")]
MetaKey = Annotated[Text, typer.Option(metavar="NAME", help="woocommerce: the product's field; _vivideo_video.")]
SentBy = Annotated[Method | None, typer.Option("--method", help="http: POST by default.")]
Replace = Annotated[
    bool | None, typer.Option("--replace/--keep", help="Of shops: remove the video brought before (so by default).")
]
Token = Annotated[Text, _place("shopify: the app's access token.")]
User = Annotated[Text, typer.Option(metavar="NAME", help="woocommerce: the user of the application password.")]
Password = Annotated[Text, _place("woocommerce: the application password.")]
ConsumerKey = Annotated[Text, _place("woocommerce: where products have keys of their own.")]
ConsumerSecret = Annotated[Text, _place("woocommerce: that key's secret.")]
Secret = Annotated[Text, _place("http: whsec_…; left out, it is made.")]


@app.command()
def create(
    kind: Annotated[Kind, typer.Argument(metavar="shopify|woocommerce|http", show_default=False)],
    name: Name = None,
    shop: Shop = None,
    url: Url = None,
    alt: Alt = None,
    api_version: ApiVersion = None,
    meta_key: MetaKey = None,
    method: SentBy = None,
    replace: Replace = None,
    token_from: Token = None,
    user: User = None,
    password_from: Password = None,
    consumer_key_from: ConsumerKey = None,
    consumer_secret_from: ConsumerSecret = None,
    secret_from: Secret = None,
    idempotency_key: Annotated[
        Text, typer.Option(help="A text of your own: repeated with it, the command finds the same publisher.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a place on file, and prove it by `publishers check`.

    Credentials are read from a file, a line of standard input (-) or the environment, never from an argument, which
    others on the machine could see. A secret that is made for `http` is shown this once.

    \b
      vivideo publishers create shopify --shop lamps.myshopify.com --token-from token.txt
      vivideo publishers create woocommerce --url https://shop.example --user ada --password-from -
      vivideo publishers create http --url https://shop.example/videos --secret-from env:VIDEO_SECRET
    """
    settings = _settings(shop, url, alt, api_version, meta_key, method, replace)
    entered = _credentials(token_from, user, password_from, consumer_key_from, consumer_secret_from, secret_from)
    _complete(kind, settings, entered)
    with connected(as_json=as_json) as client:
        made = client.create_publisher(kind, settings, entered, name=name, idempotency_key=idempotency_key)
        _show(made, as_json=as_json)


@app.command("list")
def listed(as_json: Json = False) -> None:
    """List your publishers, and which of them are failing."""
    with connected(as_json=as_json) as client:
        found = list(client.iter_publishers())
        if as_json:
            return show_json({"data": [one.to_dict() for one in found]})
        from api.cli import publisher_rows

        return publisher_rows.show_publishers(words(), found)


@app.command()
def show(publisher_id: PublisherId, as_json: Json = False) -> None:
    """Show a publisher: where it brings videos, and if that fails, why and what to do."""
    with connected(as_json=as_json) as client:
        _show(client.publisher(publisher_id), as_json=as_json)


@app.command()
def check(publisher_id: PublisherId, as_json: Json = False) -> None:
    """Prove its credentials by a call to the shop that changes nothing; exit status 1 where they are refused."""
    with connected(as_json=as_json) as client:
        found = client.check_publisher(publisher_id)
    if as_json:
        show_json(found.to_dict())
    elif found.ok:
        words().print(f"{publisher_id} works: {found.told or 'the shop answers'}", markup=False)
    if not found.ok:
        why = found.error
        say(f"{why.message}\n  → {why.help} [{why.code}]" if why else "the shop refuses, and does not say why")
        raise typer.Exit(Exit.FAILED)


@app.command()
def update(
    publisher_id: PublisherId,
    name: Name = None,
    shop: Shop = None,
    url: Url = None,
    alt: Alt = None,
    api_version: ApiVersion = None,
    meta_key: MetaKey = None,
    method: SentBy = None,
    replace: Replace = None,
    token_from: Token = None,
    user: User = None,
    password_from: Password = None,
    consumer_key_from: ConsumerKey = None,
    consumer_secret_from: ConsumerSecret = None,
    secret_from: Secret = None,
    as_json: Json = False,
) -> None:
    """Change a publisher; what is not named stays. Credentials are replaced as a whole.

    It belongs to one shop: another --shop, or --url of a WooCommerce, is taken as long as nothing was begun there, that
    --url together with --user and --password-from. For another shop make another publisher.

    \b
      vivideo publishers update pub_… --token-from new-token.txt
    """
    settings = _settings(shop, url, alt, api_version, meta_key, method, replace)
    entered = _credentials(token_from, user, password_from, consumer_key_from, consumer_secret_from, secret_from)
    if not (settings or entered or name is not None):
        raise Mistake("nothing to change: give --name, a setting (--url …) or a credential (--token-from …)")
    with connected(as_json=as_json) as client:
        changes: dict[str, Any] = {} if name is None else {"name": name}
        if settings:
            changes["settings"] = client.publisher(publisher_id).settings | settings
        if entered:
            changes["credentials"] = entered
        _show(client.change_publisher(publisher_id, **changes), as_json=as_json)


@app.command()
def enable(publisher_id: PublisherId, as_json: Json = False) -> None:
    """Go on bringing videos, with those that waited."""
    with connected(as_json=as_json) as client:
        _show(client.change_publisher(publisher_id, enabled=True), as_json=as_json)


@app.command()
def disable(publisher_id: PublisherId, as_json: Json = False) -> None:
    """Bring nothing until it is enabled; what is to be brought waits."""
    with connected(as_json=as_json) as client:
        _show(client.change_publisher(publisher_id, enabled=False), as_json=as_json)


@app.command()
def delete(publisher_id: PublisherId, as_json: Json = False) -> None:
    """Forget a publisher and its publications; what it brought to the shop stays there."""
    with connected(as_json=as_json) as client:
        client.delete_publisher(publisher_id)
        if as_json:
            return show_json({"deleted": publisher_id})
        return words().print(f"{publisher_id} is deleted; its videos stay in the shop", markup=False)


def _settings(
    shop: Text, url: Text, alt: Text, api_version: Text, meta_key: Text, method: Text, replace: bool | None
) -> dict[str, Any]:
    given = {"shop": shop, "url": url, "alt": alt, "api_version": api_version, "meta_key": meta_key, "method": method}
    return {name: value for name, value in (given | {"replace": replace}).items() if value is not None}


def _credentials(
    token: Text, user: Text, password: Text, consumer_key: Text, consumer_secret: Text, secret: Text
) -> dict[str, str]:
    """Read in this order: several may come from lines of standard input."""
    places = {
        "access_token": (token, "--token-from"),
        "application_password": (password, "--password-from"),
        "consumer_key": (consumer_key, "--consumer-key-from"),
        "consumer_secret": (consumer_secret, "--consumer-secret-from"),
        "secret": (secret, "--secret-from"),
    }
    found = {name: credentials.read(place, option) for name, (place, option) in places.items() if place is not None}
    return found if user is None else {"user": user} | found


_NEEDED: dict[str, dict[str, str]] = {
    "shopify": {"shop": "--shop", "access_token": "--token-from"},
    "woocommerce": {"url": "--url", "user": "--user", "application_password": "--password-from"},
    "http": {"url": "--url"},
}


def _complete(kind: str, settings: dict[str, Any], entered: dict[str, str]) -> None:
    """Raises Mistake in the words of the command line; all else is for the service to judge."""
    if missing := [option for name, option in _NEEDED[kind].items() if name not in settings | entered]:
        raise Mistake(f"{kind} needs {' and '.join(missing)}\n  → vivideo publishers create --help")


def _show(found: "Publisher", *, as_json: bool) -> None:
    if as_json:
        return show_json(found.to_dict())
    from api.cli import publisher_rows

    return publisher_rows.show_publisher(words(), found)
