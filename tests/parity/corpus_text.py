"""More than 10,000 distinct ugly strings, the same every time; no two kinds alike."""

import random
import string
import sys
import unicodedata
from collections.abc import Iterator
from typing import Final

_SCRIPTS: Final = (
    (0x0041, 0x024F),  # Latin with its extensions
    (0x0300, 0x036F),  # combining marks
    (0x0370, 0x052F),  # Greek, Coptic, Cyrillic
    (0x0590, 0x06FF),  # Hebrew, Arabic: right to left
    (0x0900, 0x0DFF),  # the scripts of India
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x10A0, 0x11FF),  # Georgian, Hangul letters
    (0x1E00, 0x206F),  # more Latin and Greek; punctuation, bidi controls, odd spaces
    (0x2070, 0x2BFF),  # sub- and superscripts, signs, arrows, boxes
    (0x3040, 0x30FF),  # kana
    (0x4E00, 0x9FFF),  # Han
    (0xAC00, 0xD7A3),  # Hangul
    (0xE000, 0xF8FF),  # private use
    (0xF900, 0xFFFF),  # compatibility forms, specials
    (0x10000, 0x1D7FF),  # ancient scripts to mathematical letters
    (0x1F000, 0x1FAFF),  # pictures
    (0xE0000, 0xE01EF),  # tags and variation selectors
)
_EMOJI: Final = "👩👨👧👦🏳🏴❤🌈👍🏽🏿🇩🇪🇫🇷🔥☠⚕✈\u200d\ufe0f\u20e3#1*"
_SPACE: Final = (
    " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u2009\u200a\u200b\u2028\u2029"
    "\u202f\u205f\u3000\ufeff"
)
_ENDINGS: Final = ("'s", "'S", "'ſ", "'t", "'T", "'re", "'RE", "'Re", "'ve", "'m", "'ll", "'LL")
_WORD_LIST: Final = (
    "a photo of the red sofa don't they're we've I'm she'll he'd O'Neill rock'n'roll "
    "café naïve Zürich ﬁsh ﬀ straße STRASSE İstanbul ıI K Å Ω µ ſo 'ſ K's ŉ "
    "数字 漢字 ひらがな カタカナ 한국어 Привет МИР ΑΒΓς مرحبا שלום नमस्ते ภาษาไทย "
    "snake_case CamelCase kebab-case x=1; f(x){return} </div> #tag @user 50% $3.50 €20 №5"
)
_WORDS: Final = _WORD_LIST.split()
_ENTITY_LIST: Final = (
    "amp lt gt quot nbsp eacute Eacute copy hearts zwj NotEqualTilde fjlig AMP LT bogus amp;amp"
)
_ENTITIES: Final = _ENTITY_LIST.split()
_SENTENCES: Final = (
    "Ein großes rotes Sofa steht mitten im Zimmer.",
    "Une très jolie photo d'un canapé rouge, prise l'été dernier",
    "Una foto de un sofá rojo en una habitación; ¿de quién es?",
    "Красный диван стоит у окна, рядом — кошка",
    "赤いソファの写真。部屋の真ん中に置いてある",
    "一张红色沙发的照片，放在房间中央",
    "방 한가운데에 있는 빨간 소파 사진",
    "صورة لأريكة حمراء في وسط الغرفة",
    "תמונה של ספה אדומה באמצע החדר",
    "कमरे के बीच में एक लाल सोफे की तस्वीर",
    "ภาพถ่ายโซฟาสีแดงกลางห้อง",
    "Odanın ortasında kırmızı bir kanepenin fotoğrafı, İstanbul'da",
)
_CODE: Final = (
    "https://example.com/a/b.jpg?q={0}&lang=en#top",
    "for (int i = 0; i < {0}; ++i) {{ sum += a[i]; }}",
    "def f{0}(x: int) -> str: return f'{{x!r}}\\n'",
    "SELECT * FROM t WHERE id = {0} AND name LIKE '%''%';",
    '{{"id": {0}, "tags": ["a", null, true], "s": "\\u00e9"}}',
    "<p class='x'>{0} &lt; {0} &amp;&amp; ok</p>",
    "C:\\Users\\{0}\\file.tar.gz ~/.cache/{0} $HOME/*.py",
    "{0} {0}.5 1,000,{0} {0}e-10 0x{0} ½ ² Ⅳ ٣ ೩ {0}% -{0}",
)


def corpus() -> list[str]:
    """Return the strings, by the kind that made them."""
    found: dict[str, None] = {}
    for count, kinds in _KINDS:
        for make in kinds:
            rng = random.Random(make.__name__)
            found |= dict.fromkeys(make(rng) for _ in range(count))
    found |= dict.fromkeys(_around_the_limit())
    found |= dict.fromkeys(chr(point) for point in range(0x800) if point)
    return list(found)


def long_word(letters: int = 8_192) -> str:
    """Return one random word of lower-case letters."""
    return "".join(random.Random("word").choices(string.ascii_lowercase, k=letters))


def _any_plane(rng: random.Random) -> str:
    """Anything Unicode numbers, assigned or not, except surrogates."""
    points = (rng.randrange(1, sys.maxunicode + 1) for _ in range(rng.randint(1, 12)))
    return "".join(chr(p) for p in points if not 0xD800 <= p <= 0xDFFF)


def _one_script(rng: random.Random) -> str:
    low, high = rng.choice(_SCRIPTS)
    letters = (chr(rng.randint(low, high)) for _ in range(rng.randint(1, 20)))
    return "".join(letter + " " * (rng.random() < 0.15) for letter in letters)


def _mixed_scripts(rng: random.Random) -> str:
    return "".join(chr(rng.randint(*rng.choice(_SCRIPTS))) for _ in range(rng.randint(2, 16)))


def _combining(rng: random.Random) -> str:
    text = "".join(
        rng.choice("aeiouAOUncsåéñ") + chr(rng.randint(0x300, 0x36F)) * rng.randint(0, 3)
        for _ in range(rng.randint(1, 10))
    )
    return unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKC", "NFKD")), text)


def _emoji(rng: random.Random) -> str:
    return "".join(rng.choices(_EMOJI, k=rng.randint(1, 12)))


def _ascii_soup(rng: random.Random) -> str:
    return "".join(rng.choices(string.punctuation * 2 + " aZ9'", k=rng.randint(1, 30)))


def _any_ascii(rng: random.Random) -> str:
    return "".join(chr(rng.randrange(0, 128)) for _ in range(rng.randint(1, 30)))


def _printable(rng: random.Random) -> str:
    return "".join(rng.choices(string.printable, k=rng.randint(1, 40)))


def _contractions(rng: random.Random) -> str:
    parts = ("".join((rng.choice(_WORDS), *rng.choices(_ENDINGS, k=2))) for _ in range(4))
    return rng.choice(("", " ", "'")).join(parts)


def _odd_case(rng: random.Random) -> str:
    text = " ".join(rng.choices(_WORDS, k=rng.randint(1, 6)))
    return "".join(rng.choice((c, c.upper(), c.lower(), c.swapcase(), c.title())) for c in text)


def _entities(rng: random.Random) -> str:
    def entity() -> str:
        match rng.randrange(4):
            case 0:
                body = rng.choice(_ENTITIES)
            case 1:
                body = f"#{rng.choice((rng.randrange(300), rng.randrange(0x120000)))}"
            case 2:
                body = f"#{rng.choice('xX')}{rng.randrange(0x120000):x}"
            case _:
                body = rng.choice(("#", "#x", "", "am p", "#-1", "#99999999999", "#xD800", "#0"))
        return "&" + "amp;" * rng.randrange(3) + body + rng.choice((";", ";", "", " "))

    return "".join(rng.choice((entity(), "<b>", " x ", "'")) for _ in range(rng.randint(1, 6)))


def _mojibake(rng: random.Random) -> str:
    text = rng.choice((*_SENTENCES, "don’t “quote” — dash…", "naïve café 5 €", "👍 ok"))
    encoding = rng.choice(("cp1252", "latin-1", "cp1251", "macroman", "cp437"))
    for _ in range(rng.randint(1, 2)):
        text = text.encode().decode(encoding, "replace")
    start = rng.randrange(max(len(text) - 30, 1))
    return text[start : start + rng.randint(5, 60)]


def _spaces(rng: random.Random) -> str:
    return "".join(rng.choice((rng.choice(_SPACE), rng.choice(_WORDS))) for _ in range(12))


def _controls(rng: random.Random) -> str:
    control = (
        0,
        7,
        8,
        0x1B,
        0x7F,
        0x80,
        0x9F,
        0xAD,
        0x200E,
        0x202E,
        0x2066,
        0xFEFF,
        0xFFF9,
        0xFFFC,
    )
    return "".join(
        rng.choice((chr(rng.choice(control)), rng.choice(_WORDS), "\x1b[31m")) for _ in range(9)
    )


def _specials(rng: random.Random) -> str:
    def token() -> str:
        name = rng.choice(("<start_of_text>", "<end_of_text>", "<start_of_text", "end_of_text>"))
        return "".join(rng.choice((c, c, c.upper())) for c in name.replace("s", rng.choice("sſs")))

    return "".join(rng.choice((token(), " ", rng.choice(_WORDS), "<", ">")) for _ in range(6))


def _long_words(rng: random.Random) -> str:
    letters = rng.choice((string.ascii_lowercase, string.ascii_letters + "é", "aab", "!?-", "漢字"))
    return "".join(rng.choices(letters, k=rng.choice((50, 200, 600))))


def _numbers(rng: random.Random) -> str:
    return " ".join(
        f"{rng.uniform(-1e6, 1e6):{rng.choice(('.3f', 'e', ',.0f', 'g'))}}" for _ in "abc"
    )


def _code(rng: random.Random) -> str:
    return rng.choice(_CODE).format(rng.randrange(100_000))


def _sentences(rng: random.Random) -> str:
    words = " ".join(rng.choices(_SENTENCES, k=2)).split(" ")
    start = rng.randrange(len(words))
    return " ".join(words[start : start + rng.randint(1, 12)])


def _long_texts(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(20, 120)))


def _around_the_limit() -> Iterator[str]:
    """Texts of exactly 61 to 80 tokens, the last a word, a sign, a cut word, or a special."""
    for count in range(59, 79):
        for end in (
            "",
            " sofa",
            " !",
            " supercalifragilistic",
            " <end_of_text>",
            " 12345",
            " é 漢",
        ):
            yield " ".join(["red"] * count) + end
            yield "7" * count + end


_KINDS: Final = (
    (1700, (_one_script,)),
    (1000, (_any_plane, _mixed_scripts, _entities)),
    (700, (_ascii_soup, _any_ascii, _odd_case, _combining)),
    (500, (_emoji, _printable, _contractions, _mojibake, _specials)),
    (400, (_spaces, _controls, _code, _sentences, _long_texts)),
    (200, (_long_words, _numbers)),
)
