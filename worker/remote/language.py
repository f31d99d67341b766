"""The language of a prompt, as the session's creation wants it (ISO 639-1).

Scripts that name their language decide by themselves; among the rest, words that a language has almost to itself
decide next, and statistics (py3langid, restricted to languages that people write prompts in) last, because prompts are
too short for statistics alone. Measured: 74 of 74 short prompts in 13 languages, and 39 of 39 that were not looked at
while the words were chosen (`pytest -k accuracy tests/remote/test_language.py`).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

Statistics = Callable[[str, str], str]
"""The language of some words, or the second argument where they do not tell."""
LATIN = ("en", "es", "fr", "de", "pt", "it", "nl", "pl", "tr", "vi", "id", "sv", "cs", "ro")
LONGEST = 2000
"""Characters looked at; more text does not change the answer."""
DOUBT = 0.35
"""Probability below which the statistics only guess, and the default stands."""

_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (language, re.compile(pattern))
    for language, pattern in (
        ("ja", "[\u3040-\u30ff\uff66-\uff9f]"),  # kana before Han: Japanese has both
        ("ko", "[\uac00-\ud7af\u1100-\u11ff\u3130-\u318f]"),
        ("zh", "[\u3400-\u4dbf\u4e00-\u9fff]"),
        ("th", "[\u0e00-\u0e7f]"),
        ("he", "[\u0590-\u05ff]"),
        ("el", "[\u0370-\u03ff\u1f00-\u1fff]"),
        ("hi", "[\u0900-\u097f]"),
        ("fa", "[\u067e\u0686\u0698\u06af\u06a9\u06cc]"),
        ("ar", "[\u0600-\u06ff]"),
    )
)
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_LETTER = re.compile(r"[^\W\d_]")
_NOISE = re.compile(
    r"https?://\S+|\S+@\S+|[@#]\w+|\b\w+\.(?:mp4|mov|jpe?g|png|gif|webp|webm|mp3|wav)\b|\d+", re.IGNORECASE
)

# Short words that are frequent in one of the languages and rare in the others, above all no English ones in the rest.
_TELLING: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": (
            "the a an of and with for from my your this that make create add video to in on is are it at into "
            "our its by new"
        ),
        "es": (
            "el los las un una con para de y del en mi que por crea hacer haz vídeo añade sobre al muestra "
            "nuestra nuevo"
        ),
        "fr": (
            "le les un une avec pour de et du des en mon que crée créer vidéo fais sur au montre notre "
            "nouveau d l ma dans"
        ),
        "de": (
            "der die das ein eine einen mit für von und zu den dem mein erstelle video füge auf zeige unser "
            "neue im über am"
        ),
        "pt": (
            "o os as um uma com para de e do da em meu que crie criar faça vídeo sobre ao mostre nosso novo na no uns"
        ),
        "it": ("il gli un una con per di e del della in mio che crea video aggiungi su al mostra nostro nuovo dei nel"),
        "nl": "de het een met voor van en mijn maak video voeg toe op toon onze nieuwe in bij",
        "pl": "z dla i w na do mój zrób stwórz film wideo dodaj o nasz nowy o",
        "tr": "bir ile için ve bu benim yap oluştur video ekle göster bizim yeni hakkında olan",
        "vi": "một với cho và của tạo làm thêm về này tôi video trong có",
        "id": "yang dengan untuk dan dari ini saya buat buatkan tambahkan video tentang di kami baru sebuah",
    }.items()
}
_SHARED = {
    word: tuple(language for language, words in _TELLING.items() if word in words)
    for word in frozenset().union(*_TELLING.values())
}
_WORD = re.compile(r"[^\W\d_]+")


def detect(text: str, default: str = "en", *, statistics: Statistics | None = None) -> str:
    """ISO 639-1 of the text's language; `default` where it has no words, or none that tell.

    `statistics` decides in place of ours where no word tells: they take milliseconds, everything else microseconds.
    """
    words = _NOISE.sub(" ", text[:LONGEST])
    if not _LETTER.search(words):
        return default
    if not words.isascii():
        letters = len(_LETTER.findall(words))
        for language, script in _SCRIPTS:
            # A foreign name inside a Latin sentence is no reason; a Han letter carries as much as three Latin ones.
            found = len(script.findall(words))
            if found and found * 3 >= letters - found:
                return language
        if len(_CYRILLIC.findall(words)) * 2 > letters:
            return _cyrillic(words)
    return _latin(words.lower(), default, statistics)


def _cyrillic(words: str) -> str:
    """Ukrainian by its own letters. The statistics take short Russian for Bulgarian, which is asked for far less."""
    return "uk" if re.search("[іїєґІЇЄҐ]", words) else "ru"


def _latin(words: str, default: str, statistics: Statistics | None) -> str:
    """Telling words, each worth the less the more languages share it; on a draw the statistics."""
    scores = dict.fromkeys(_TELLING, 0.0)
    for token in _WORD.findall(words):
        for language in (sharing := _SHARED.get(token, ())):
            scores[language] += 1 / len(sharing)
    first, second = sorted(scores.values(), reverse=True)[:2]
    if first - second >= 0.5:
        return max(scores, key=lambda language: scores[language])
    return (statistics or by_statistics)(words, default)


def by_statistics(words: str, default: str) -> str:
    """The language of words that tell nothing by themselves; milliseconds. `default` where it is in doubt."""
    language, probability = _identifier().classify(words)
    return str(language) if probability >= DOUBT else default


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    """Loaded at first use: workers that never detect a language do without the model and its numpy."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LATIN)
    return identifier
