"""The storm's script: what the seed decides, and that no storm leaves a kind of blow out."""

from collections import Counter

from tests.chaos.script import KILLED, write


def test_a_seed_repeats_its_script():
    """The same seed gives the same blows and requests, another one gives others."""
    assert write(7, renders=50, kills=20) == write(7, renders=50, kills=20)
    assert write(7, renders=50, kills=20) != write(8, renders=50, kills=20)


def test_a_full_storm_strikes_everybody():
    """Fifty kills reach each kind of process; every other blow is there, PostgreSQL is restarted both ways."""
    for seed in range(1, 11):
        script = write(seed, renders=500, kills=50)
        kills = [blow for blow in script.blows if blow.what == "kill"]
        assert len(kills) == 50
        assert {blow.whom for blow in kills} == {name for name, _ in KILLED}
        what = Counter(blow.what for blow in script.blows)
        assert {"kill", "freeze", "flush", "cut", "burst", "expire", "forget", "postgres"} == what.keys()
        assert {blow.how for blow in script.blows if blow.what == "postgres"} == {"fast", "immediate"}


def test_everybody_asks_once_with_words_of_their_own():
    """As many requests as asked for; no prompt and no key twice, as the checker counts messages by their text."""
    wishes = [wish for _, together in write(3, renders=200, kills=10).arrivals for wish in together]
    assert len({wish.body["prompt"] for wish in wishes}) == len({wish.key for wish in wishes}) == len(wishes) == 200
