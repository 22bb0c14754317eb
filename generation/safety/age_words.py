"""The words that `generation.safety.minor_safety` looks for: how people write ages below 18, in the languages of the
interface.

Only both lists together refuse, so each may be wide. Matched on folded text and on the text as typed, so patterns name
umlauts and accents in both spellings. French and Spanish say an age as a number of years, so each number of years below
18 counts as one. What they do not know: other languages, numbers in Roman numerals, words in leetspeak inside
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
    # French
    *(
        "enfant",
        "enfants",
        "gamin",
        "gamine",
        "gamins",
        "gamines",
        "gosse",
        "gosses",
        "fillette*",
        "garçonnet*",
        "ados",
    ),
    *("bébé", "bébés", "bambin*", "nourrisson*", "nouveau-né*", "petite fille", "petites filles", "petit garçon"),
    *("petits garçons", "jeune fille*", "jeunes filles", "jeune garçon*", "jeunes garçons", "préado*", "écolier*"),
    *("écolière*", "collégien*", "lycéen*", "prépubère*", "impubère*", "pubère*", "mineure", "mineures", "mineurs"),
    # Spanish; niño is below: without its tilde it is a name
    *("chiquill*", "colegial*", "menor de edad", "menores de edad", "recién nacid*", "prepúber*", "impúber*", "púber*"),
    *("quinceañer*", "lactante*", "párvul*", "jovencit*", "muchachit*", "chamac*", "nene", "nenes", "nena", "nenas"),
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
_FRENCH = "dix[ -]sept|une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize"
_SPANISH = (
    "una?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|diecis(?:é|e)is|diecisiete"
)
_YEARS = r"(?:ans|a(?:ñ|n)(?:os|itos))\b"
_FRENCH_TENS = "vingt|trente|quarante|cinquante|soixante|septante|huitante|nonante|quatre[ -]vingts?|cent|mille"
_SPANISH_TENS = "treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa|cien|ciento|mil"
TENS = (
    rf"\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[ -]?(?:{_ONES})?"
    rf"|(?:{_FRENCH_TENS})(?:[ -](?:et[ -])?(?:dix[ -](?:huit|neuf)|{_FRENCH}))?|dix[ -](?:huit|neuf)"
    rf"|(?:{_SPANISH_TENS})(?: (?:y )?(?:{_SPANISH}|uno))?)\b"
)
"""Numbers whose end is no age of its own: taken out before the patterns look."""
AGES = (
    rf"{_BEFORE}{_AGE}{_GAP}(?:y{_GAP}o(?:[^\w-]|$|_)|(?:y|yrs?|years?){_GAP}{_OLD})",
    rf"{_BEFORE}(?:\d{{1,2}}|{_NUMBERS}){_GAP}(?:mos?|months?|weeks?|days?){_GAP}old\b",
    rf"{_BEFORE}{_AGE}{_GAP}(?:j(?:a|ä|ae)hrig|jahre?{_GAP}alt|monate?{_GAP}alt)",
    rf"{_BEFORE}(?:1\W?[0-7]|0?[1-9]|{_FRENCH}|{_SPANISH}){_GAP}{_YEARS}",
    rf"\b(?:moins|menos){_GAP}de{_GAP}1[0-8]{_GAP}{_YEARS}|\bmenor(?:es)?{_GAP}(?:de|a){_GAP}1[0-8](?:\D|$)",
    r"\bniñ(?:[oa]s?|it[oa]s?)\b|\bnin[oa]s\b|\b(?:una?|l[ao]s?|el|est[ae]|es[ae]) nin[oa]\b",
    rf"(?:\b(?:age[ds]?|agee?s?|alter|edad)|âg(?:e|ée?s?))(?:{_GAP}(?:is|of|ist|von|de))?[ :=~-]{{1,3}}"
    rf"(?:{_AGE}|{_FRENCH}|{_SPANISH})(?:[^\w.,]|[.,](?:\D|$)|$)",
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
    # French
    *(
        "nu",
        "nue",
        "nus",
        "nues",
        "nudité*",
        "dénudée",
        "dénudées",
        "dénudés",
        "déshabillé*",
        "érotique*",
        "érotisme",
        "sexe",
        "sexes",
    ),
    *("sexuel*", "obscène*", "lubrique*", "lascif*", "sans vêtements"),
    # Spanish
    *("desnud*", "sexo", "erótic*", "erotismo", "obscen*", "lasciv*", "sin ropa", "desvestid*", "encuerad*"),
)
