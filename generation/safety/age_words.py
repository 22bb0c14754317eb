"""The words that `generation.safety.minor_safety` looks for: how people write ages below 18, in English and German.

Only both lists together refuse, so each may be wide. Matched on folded text and on the text as typed, so patterns name
umlauts in both spellings. What they do not know: other languages, numbers in Roman numerals, words in leetspeak inside
a pattern, ages that only a story tells.
"""

from __future__ import annotations

YOUNG = (
    # English
    *("child", "children", "kid", "kids", "toddler*", "infant*", "baby", "babies", "underage*", "teen*", "preteen*"),
    *("pre-teen*", "tween*", "schoolgirl*", "schoolboy*", "schoolchild*", "schoolkid*", "preschooler*", "kindergart*"),
    *("little girl*", "young girl*", "small girl*", "little boy*", "young boy*", "small boy*", "newborn*", "juvenile*"),
    *("prepubescent*", "pubescent*", "adolescent*", "minors", "loli", "lolis", "shota*", "middle schooler*"),
    # German
    *(
        "Kind",
        "Kinder",
        "Kindern",
        "Kindes",
        "Kleinkind*",
        "Schulkind*",
        "Säugling*",
        "Saeugling*",
        "Babys",
        "Neugeborene*",
    ),
    *("Mädchen", "Maedchen", "Schulmädchen", "Schulmaedchen", "Schuljunge*", "kleiner Junge", "kleinen Jungen"),
    *("minderjährig*", "minderjaehrig*", "Jugendliche*", "Grundschüler*", "Grundschueler*", "Halbwüchsige*"),
)
_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eine?|zwei|drei|vier|f(?:u|ü|ue)nf|sechs|sieben|acht|neun|zehn|elf|zw(?:o|ö|oe)lf|dreizehn|vierzehn"
    "|f(?:u|ü|ue)nfzehn|sechzehn|siebzehn"
)
_ORDINALS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
_AGE = rf"(?:1\W?[0-7]|0?[1-9]|{_NUMBERS})"
_BEFORE = r"(?:^|[^\W\d]\W+|^\W+|\d\s*[,;:!?)]+\s*|_)"
"""What a number may follow: not another number, whose end it would be."""
_GAP = r"[\W_]{0,3}"
_OLD = rf"(?:olds?\b|of{_GAP}age|young\b)"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
TENS = rf"\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[ -]?(?:{_ONES})?\b"
"""Numbers whose end is no age of its own: taken out before the patterns look."""
AGES = (
    rf"{_BEFORE}{_AGE}{_GAP}(?:y{_GAP}o(?:[^\w-]|$|_)|(?:y|yrs?|years?){_GAP}{_OLD})",
    rf"{_BEFORE}(?:\d{{1,2}}|{_NUMBERS}){_GAP}(?:mos?|months?|weeks?|days?){_GAP}old\b",
    rf"{_BEFORE}{_AGE}{_GAP}(?:j(?:a|ä|ae)hrig|jahre?{_GAP}alt|monate?{_GAP}alt)",
    rf"\b(?:age[ds]?|alter)(?:{_GAP}(?:is|of|ist|von))?[ :=~-]{{1,3}}{_AGE}(?:[^\w.,]|[.,](?:\D|$)|$)",
    r"\b(?:under|below|unter|younger than|j(?:u|ü|ue)nger als)[ :=<-]{1,3}(?:the )?(?:age )?(?:of )?1[0-8](?:\D|$)",
    rf"\b(?:[1-9]|1[0-2])(?:st|nd|rd|th){_GAP}graders?\b|\b(?:{_ORDINALS}){_GAP}graders?\b",
    r"\bu-?1[0-8]\b",
)
SEXUAL = (
    # English
    *("nude", "nudes", "nudity", "naked", "nsfw", "sex", "sexy", "sexual*", "porn*", "erotic*", "hentai", "topless"),
    *("undress*", "lewd", "genital*", "unclothed", "explicit nsfw"),
    # German
    *(
        "nackt",
        "nackte",
        "nackten",
        "nackter",
        "nacktes",
        "nacktem",
        "Nacktheit",
        "Nacktbild*",
        "splitternackt*",
        "halbnackt*",
        "nackig*",
        "sexuell*",
        "sexy*",
        "erotisch*",
        "Erotik*",
        "unbekleidet*",
    ),
    *("entkleidet*", "unzüchtig*", "unzuechtig*"),
)
