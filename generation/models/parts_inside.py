"""The text encoders and the VAE that lie in one file with a transformer, as ComfyUI saves a whole checkpoint. No torch.

Each is written as a file of its own when the checkpoint is added: so other models can share it, and a part is read in
one way, wherever it came from.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path

from generation.models.checkpoint import VAE, Shapes
from generation.models.families import FamilyInfo
from generation.models.safetensors_header import read_tensors

_TEXT = re.compile(r"text_encoders\.([^.]+)\.transformer\.")
_VAES = ("vae.", VAE)
_CLIP = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
_PIECE_BYTES = 64 * 1024 * 1024


def list_inside(shapes: Shapes, info: FamilyInfo) -> dict[str, str]:
    """Return what the names of each part begin with, by the part's folder in a model; those first that need words."""
    named = dict.fromkeys(found[0] for name in shapes if (found := _TEXT.match(name)))
    parts = {_CLIP.get(prefix.split(".")[1], info.text_encoders[-1]): prefix for prefix in named}
    texts = {part: parts[part] for part in reversed(info.text_encoders) if part in parts}
    vae = next((prefix for prefix in _VAES if any(name.startswith(prefix) for name in shapes)), "")
    return {**texts, "vae": vae} if vae else texts


def is_inside(name: str) -> bool:
    """Return whether a tensor of a whole checkpoint belongs to something else than its transformer."""
    return name.startswith(("text_encoders.", *_VAES))


def take_out(path: Path, prefix: str, target: Path) -> str:
    """Write the tensors whose names begin with `prefix`, without it, to a file, whole or not at all.

    Return the SHA-256 of that file: the same tensors of another checkpoint give the same. Raise `ValueError` saying
    what is wrong with the file at `path`, and `OSError` if there is no room.
    """
    read_tensors(path)  # what follows trusts the offsets
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".part")
    try:
        with path.open("rb") as source, beside.open("wb") as written:
            start = 8 + struct.unpack("<Q", source.read(8))[0]
            tensors = json.loads(source.read(start - 8))
            kept = {name: each for name, each in sorted(tensors.items()) if name.startswith(prefix)}
            digest, header, end = hashlib.sha256(), {}, 0
            for name, tensor in kept.items():
                begin, end = end, end + tensor["data_offsets"][1] - tensor["data_offsets"][0]
                header[name.removeprefix(prefix)] = {**tensor, "data_offsets": [begin, end]}
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % 8)
            for data in (struct.pack("<Q", len(text)), text):
                digest.update(data)
                written.write(data)
            for tensor in kept.values():
                begin, end = tensor["data_offsets"]
                source.seek(start + begin)
                for piece in range(begin, end, _PIECE_BYTES):
                    data = source.read(min(_PIECE_BYTES, end - piece))
                    digest.update(data)
                    written.write(data)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return digest.hexdigest()
