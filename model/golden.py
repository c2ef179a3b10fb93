#!/usr/bin/env python3
"""Draws tests/images and writes down, in golden.json there, what the classifier must answer for each.

    model/golden.py            draws the images and asks the reference about them
    model/golden.py --check    compares with what is there, changes nothing

Run it again when the model, an image or the reference (reference.py) has changed; it writes the same bytes every
time. Needs what tools/requirements-model.txt names; tools/golden installs that and runs this.
"""

import argparse
import hashlib
import io
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import reference
from golden_images import jpeg, png, refused, webp
from golden_images.sample import Sample
from PIL import Image, ImageOps

FOLDER = Path(__file__).parent.parent / "tests" / "images"
FILE_LIMIT, FOLDER_LIMIT = 30_000, 1_200_000
FORMATS = {"jpeg": (jpeg, "jpg"), "png": (png, "png"), "webp": (webp, "webp")}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--model", type=Path, default=reference.MODEL)
    given = arguments.parse_args()
    # Some EXIF is broken on purpose.
    warnings.simplefilter("ignore", UserWarning)
    if given.check:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), given.model)
            compare(Path(folder), FOLDER)
    else:
        write(FOLDER, given.model)


def write(folder: Path, model_path: Path) -> None:
    """The images and golden.json."""
    for old in folder.glob("**/*"):
        if old.is_file():
            old.unlink()
    (folder / "refused").mkdir(parents=True, exist_ok=True)
    model = reference.Model(model_path)
    images = []
    for kind, (module, ending) in FORMATS.items():
        for sample in module.samples(reference.resized(model.size)):
            name = f"{kind}-{sample.name}.{ending}"
            put(folder / name, sample.data)
            images.append({"file": name} | told(model, sample, name))
    bad = refused.samples()
    for sample in bad:
        put(folder / "refused" / sample.name, sample.data)
    golden = {
        "model": {"size": model.size} | checksums(model_path),
        "images": images,
        "refused": [{"file": f"refused/{sample.name}", "error": sample.error} for sample in bad],
    }
    (folder / "golden.json").write_text(lines(golden), encoding="utf-8")
    total = sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file())
    if total > FOLDER_LIMIT:
        sys.exit(f"{folder} holds {total} bytes, more than {FOLDER_LIMIT}.")
    print(f"{len(images)} images and {len(bad)} to be refused, {total // 1000} KB in all")


def put(path: Path, data: bytes) -> None:
    if len(data) > FILE_LIMIT:
        sys.exit(f"{path.name} has {len(data)} bytes, more than {FILE_LIMIT}.")
    if path.exists():
        sys.exit(f"There are two {path.name}.")
    path.write_bytes(data)


def told(model: reference.Model, sample: Sample, name: str) -> dict:
    """What the reference says about a sample."""
    seen = reference.decode(sample.data)
    if sample.drawn is not None:
        orientation = Image.open(io.BytesIO(sample.data)).getexif().get(reference.ORIENTATION, 1)
        drawn = turned(Image.fromarray(sample.drawn), orientation)
        if sample.pillow_differs is None and (drawn.size != seen.size or largest_difference(drawn, seen) > 1):
            sys.exit(f"{name}: Pillow doesn't see what was drawn.")
        cropped = reference.crop(drawn, model.size)
    else:
        cropped = reference.view(sample.data, model.size)
    return {
        "probabilities": [round(float(p), 5) for p in model.probabilities(cropped)],
        "pixels": hashlib.sha256(np.asarray(cropped).tobytes()).hexdigest()[:16],
    }


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """As EXIF says."""
    image.getexif()[reference.ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    """Of any two samples."""
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


def checksums(path: Path) -> dict[str, str]:
    """Of the model's files, by name."""
    files = [path, path.with_name(path.name + ".data")]
    return {"files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}}


def lines(golden: dict) -> str:
    """JSON with an image a line."""

    def one(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    parts = [f' "model": {one(golden["model"])}']
    for key in ("images", "refused"):
        parts.append(f' "{key}": [\n' + ",\n".join("  " + one(entry) for entry in golden[key]) + "\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def compare(new: Path, old: Path) -> None:
    """Stops with a message where anything differs, probabilities by more than another processor would make."""
    names = [sorted(str(p.relative_to(f)) for p in f.glob("**/*") if p.is_file()) for f in (new, old)]
    wrong = sorted(set(names[0]) ^ set(names[1]))
    wrong += [n for n in names[0] if n in names[1] and n != "golden.json" and (new / n).read_bytes() != (old / n).read_bytes()]
    ours, theirs = (json.loads((folder / "golden.json").read_text(encoding="utf-8")) for folder in (new, old))
    if ours["model"] != theirs["model"]:
        wrong.append("golden.json (another model)")
    for one, other in zip(ours["images"], theirs["images"]):
        if not np.allclose(one.pop("probabilities"), other.pop("probabilities"), rtol=0, atol=1e-4) or one != other:
            wrong.append(f"golden.json ({one['file']})")
    if ours["refused"] != theirs["refused"]:
        wrong.append("golden.json (refused)")
    if wrong:
        sys.exit("Run tools/golden. These are not what it writes: " + ", ".join(wrong))
    print("tests/images is up to date")


if __name__ == "__main__":
    main()
