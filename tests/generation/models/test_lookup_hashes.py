"""The hashes in the `parameters` line are those that the AUTOMATIC1111 web UI and Civitai look up."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec import UNSET

from generation import paintbox
from generation.images.codec import decode_png
from generation.images.metadata import format_parameters, read_recipe, sign_png
from generation.jobs.derive import reproduce
from generation.models.catalog import Catalog, model_of
from generation.models.lookup_hashes import hash_tensors, lookup_hashes
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.requests.prompt_addons import Adapter, Embedding, PromptAddon
from generation.requests.recipe import Fingerprint, Recipe
from tests.generation.service_harness import ADA, opened
from tests.generation.service_harness import spec as a_spec

HEADER = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
FILE = len(HEADER).to_bytes(8, "little") + HEADER + b"abcd"
OF_ABCD = "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"
"""`printf abcd | sha256sum`"""
NEON = paintbox.LORA_DIR / "neon.safetensors"


def test_a_lora_is_hashed_without_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(FILE)
    assert hash_tensors(path, sha256(FILE).hexdigest()) == OF_ABCD


@pytest.mark.parametrize("data", [b"", b"abc", FILE[:-1], b"\xff" * 8 + FILE], ids=["empty", "short", "cut", "huge"])
def test_a_changed_file_has_no_lookup_hash(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert hash_tensors(path, sha256(FILE).hexdigest()) == ""
    assert hash_tensors(tmp_path / "gone", sha256(FILE).hexdigest()) == ""


def a_catalog(folder: Path) -> Catalog:
    (folder / "one.safetensors").write_bytes(FILE)
    digest = sha256(FILE).hexdigest()
    model = Entry(name="one", kind=Kind.MODEL, path="one.safetensors", files={".": digest}, family="sd")
    pinned = Entry(name="two", kind=Kind.MODEL, path="two", files={"unet/a.safetensors": digest}, family="sd")
    lora = Entry(name="small", kind=Kind.LORA, path="one.safetensors", files={".": digest})
    register = ModelRegistry(entries=(model, pinned, lora))
    extra = PromptAddon(name=lora.name, path=folder / lora.path, sha256=digest)
    added = (replace(model_of(register, each, folder), loras=(extra,)) for each in (model, pinned))
    return Catalog((*added, Catalog.open("paintbox").default))


def recipe_of(catalog: Catalog, **changes: object) -> Recipe:
    spec = a_spec("a cat", **changes)
    return Recipe(
        spec=spec,
        model_sha256="ab" * 32,
        trace="2x5",
        fingerprint=Fingerprint({}),
        pixels_sha256="0" * 64,
        lookup_hashes=lookup_hashes(spec, catalog),
    )


def test_the_line_names_the_file_of_a_model_and_the_tensors_of_a_lora(tmp_path: Path) -> None:
    catalog, digest = a_catalog(tmp_path), sha256(FILE).hexdigest()
    calls = {"adapters": (Adapter("small", digest, 0.5),), "embeddings": (Embedding("moody", "cd" * 32),)}
    line = format_parameters(recipe_of(catalog, model="one", **calls)).splitlines()[-1]
    assert f"Model hash: {digest[:10]}, Model: one," in line
    assert f'Lora hashes: "small: {OF_ABCD[:12]}", TI hashes: "moody: {"cd" * 6}", Version' in line


@pytest.mark.parametrize("model", ["two", "paintbox"])
def test_a_model_in_a_folder_has_no_hash_that_others_know(tmp_path: Path, model: str) -> None:
    line = format_parameters(recipe_of(a_catalog(tmp_path), model=model)).splitlines()[-1]
    assert "hash" not in line
    assert f"Size: 64x64, Model: {model}, Version" in line


async def test_recipes_hold_lookup_hashes_and_earlier_pictures_are_unchanged(
    tmp_path: Path,
) -> None:
    called = Adapter("neon", sha256(NEON.read_bytes()).hexdigest(), 0.5)
    tensors = NEON.read_bytes()[8 + int.from_bytes(NEON.read_bytes()[:8], "little") :]
    async with opened(tmp_path) as place:
        image = (await place.finished(await place.submit("a star", adapters=(called,)))).images[0]
        assert image.recipe is not None and image.file_sha256 is not None
        png = place.generation.files.get(image.file_sha256)
        assert png is not None
        assert f'Lora hashes: "neon: {sha256(tensors).hexdigest()[:12]}"' in format_parameters(read_recipe(png))
        earlier = replace(image.recipe, lookup_hashes=UNSET)
        assert "lookup_hashes" not in earlier.to_json()
        original = sha256(sign_png(*decode_png(png), earlier)).hexdigest()
        assert original != image.file_sha256
        for recipe, file in ((earlier, original), (image.recipe, image.file_sha256)):
            again = await place.finished(await place.generation.submit(reproduce(recipe, original=file), ADA))
            assert again.images[0].file_sha256 == file
