"""Which messages may render: by topic, before anything of the body is looked at."""

from collections.abc import Sequence

from worker.triggers.models import Style

DEFAULTS: dict[Style, frozenset[str]] = {
    Style.SHOPIFY: frozenset({"products/create", "products/update"}),
    Style.WOOCOMMERCE: frozenset({"product.created", "product.updated", "product.restored"}),
}
"""Those of a style that tell of a product to be shown. The other styles have none of their own: all of theirs may."""
MOST = 50
LONGEST = 200


def renders(style: Style, topic: str | None, listed: Sequence[str] | None) -> bool:
    """Whether a message of this topic may render. `listed` are the trigger's own, in which `*` stands for anything
    (`products/*`); None: the style's, or all where it has none."""
    if listed is not None:
        return any(_fits(pattern, topic or "") for pattern in listed)
    own = DEFAULTS.get(style)
    return own is None or topic in own


def wrong(listed: Sequence[str]) -> list[tuple[str, str]]:
    """What is wrong with a trigger's own topics: JSON pointer (below the list) and reason."""
    if len(listed) > MOST:
        return [("", f"at most {MOST} topics")]
    return [(f"/{at}", f"1 to {LONGEST} characters") for at, one in enumerate(listed) if not 0 < len(one) <= LONGEST]


def _fits(pattern: str, topic: str) -> bool:
    """In one pass over the topic for each part: a pattern of many `*` is no search without end."""
    begin, *parts = pattern.split("*")
    if not parts:
        return pattern == topic
    if not topic.startswith(begin):
        return False
    *middle, end = parts
    at = len(begin)
    for part in middle:
        if (found := topic.find(part, at)) < 0:
            return False
        at = found + len(part)
    return len(topic) - at >= len(end) and topic.endswith(end)
