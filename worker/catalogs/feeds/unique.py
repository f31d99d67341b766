"""The first product with a ref is the product; a later one with the same is told of and left out."""

from worker.catalogs.feeds.problems import Items, Problem, problem
from worker.catalogs.feeds.scratch import Seen


def unique(items: Items, ref_name: str = "id") -> Items:
    """`items` without repeats and the remarks about them."""
    seen = Seen()
    remarks: list[Problem] = []
    try:
        for item in items:
            if isinstance(item, Problem) and not item.fatal and item.ref is not None:
                remarks.append(item)  # followed by its product, or by why that is none
                continue
            if isinstance(item, Problem) or seen.add(item.ref):
                yield from remarks
                yield item
            else:
                yield problem("item.repeated", item.place, item.ref, name=ref_name)
            remarks.clear()
        yield from remarks
    finally:
        seen.close()
