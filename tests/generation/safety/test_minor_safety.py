"""The conjunction of two scorers, with stand-in words only."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest

from generation.safety.errors import MinorSafetyError
from generation.safety.minor_safety import MinorSafety, WordScorer, protection

STAND_IN = MinorSafety(age=WordScorer(["alphatoken"]), sexual=WordScorer(["betatoken"]))


@pytest.mark.parametrize(
    ("texts", "is_refused"),
    [
        (["a circle"], False),
        (["alphatoken"], False),
        (["betatoken"], False),
        (["alphatoken betatoken"], True),
        (["alphatoken", "betatoken"], False),  # a negative prompt that keeps the one out of the other
        (["a circle", "alphatoken betatoken"], True),
        (["4lphat0ken b e t a t o k e n"], True),
    ],
)
def test_only_both_at_once(texts: list[str], is_refused: bool) -> None:
    if not is_refused:
        STAND_IN.require_harmless(texts)
        return
    with pytest.raises(MinorSafetyError):
        STAND_IN.require_harmless(texts)


def test_a_score_that_is_no_number_counts_against_it() -> None:
    with pytest.raises(MinorSafetyError):
        MinorSafety(age=lambda text: math.nan, sexual=lambda text: 1.0).require_harmless(["x"])


def test_only_a_hash_and_scores_are_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(MinorSafetyError):
        STAND_IN.require_harmless(["alphatoken betatoken"])
    assert "token" not in caplog.text
    assert "age=1.00 sexual=1.00" in caplog.text


# The age part alone: it says nothing of what is painted, and refuses nothing by itself.

YOUNG = """
12yo|12 yo|12 y/o|12 y.o.|12-year-old|12 year old|12 years old|12 yrs old|12 years of age|7-year-olds|3 years young
twelve-year-old|twelve years old|twelve yo|age: 12|age 12|ages 10|aged 12|aged twelve|age of 12|11, 12 yo|9yo_girl
1 2 y o|1 2 years old|12_year_old|１２ years old|١٢ years old|१२ years old|𝟏𝟐yo|⑫ yo|12уо|6 months old|six months old
under 18|under the age of 16|younger than 16|u18|5th grader|fifth-grader|toddler|k1d|t33n|a little girl
zwölfjährig|eine zwölfjährige Person|12-jährige|12jährig|12 Jahre alt|zwölf Jahre alt|Alter: 12|im Alter von 12
fünfjährig|fuenfjaehrig|unter 16|jünger als 14|acht Monate alt|Mädchen|MÄDCHEN|ein Kind|Kinder|minderjährig|Säugling
12 ans|12ans|une personne de 12 ans|douze ans|dix-sept ans|âgée de 12 ans|âgé de douze ans|à l'âge de 12|âge : 12
moins de 18 ans|un enfant|BÉBÉ|bebe|une petite fille|fillettes|une écolière|lycéenne|adolescente|mineure
12 años|12 anos|doce años|diecisiete años|dieciséis años|edad: 12|edad de doce|de 5 añitos|menores de 18
menos de 18 años|una niña|NIÑO|los ninos|una nina|menor de edad|quinceañera|colegiala|recién nacido
"""
GROWN = """
18 yo|18yo|21-year-old|25 years old|twenty-one years old|twenty one year old|aged 40|age: 30|age of 18|aged 12.5 bn
21 yo|30 y/o|a woman, 22 yo|middle-aged, 1 woman|middle aged|2 1 y o|age: 21|age 1800|112 years old|over 18
a 100 year old oak|12th century|1 woman|3 years ago|in 10 years|a 1970s car|5 o'clock|12 yogurts|10 yo-yos
age of empires|golden age|the age of reason|young woman|under 200 stars|Kindle|kidney beans|teal
achtzehnjährig|achtzehn Jahre alt|einundzwanzigjährig|21 Jahre alt|Alter: 35|im Alter von 50|ein alter Turm|12 Monde
unter 20 Bäumen|junge Frau|Kinderspiel|Kinderwagen
18 ans|dix-huit ans|dix-neuf ans|vingt ans|vingt-deux ans|vingt et un ans|soixante-douze ans|quatre-vingt-dix-sept ans
cent douze ans|âgée de 40 ans|âge : 35|une jeune femme|moins de 200 arbres|la mine|le menu|un lit d'enfance
18 años|dieciocho años|veinte años|veintidós años|treinta y cinco años|ciento doce años|edad: 35|la Edad Media
edad media|menos de 20 casas|una mujer joven|Nina|Nino Rota|un menor|once upon a time|El año nuevo
"""
FOLDER = Path(__file__).parents[1] / "rules"
LISTS = ("benign.txt", "benign_de.txt", "benign_fr.txt", "benign_es.txt")
BENIGN = [line for name in LISTS for line in (FOLDER / name).read_text("utf-8").splitlines()]


def each(lists: str) -> list[str]:
    return lists.strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("text", each(YOUNG))
def test_ages_below_18_however_they_are_spelled(text: str) -> None:
    age = protection().age
    assert age(text) == 1
    assert age(f"a red circle, {text}, on paper") == 1


@pytest.mark.parametrize("text", each(GROWN))
def test_other_ages_and_numbers(text: str) -> None:
    age = protection().age
    assert age(text) == 0
    assert age(f"a red circle, {text}, on paper") == 0


def test_no_benign_prompt_counts_as_both_and_hardly_one_as_either() -> None:
    assert len(BENIGN) == 400
    age, other = protection().age, protection().sexual
    assert [text for text in BENIGN if other(text)] == []
    assert [text for text in BENIGN if age(text)] == []
