#!/usr/bin/env python3
"""What the classifier must answer, told independently of its own code: Pillow decodes, turns and resizes,
ONNX Runtime computes.

    model/reference.py [--count N | --only FILE] [--mosaics DIR] PHOTOS...

PHOTOS are images or folders of them (`<Breed>/*.jpg`). Prints one JSON object a line: file, label (the folder's
name), probabilities in the order of breeds.json. With --count, N photos taken evenly from all; with
--only, those whose `<Breed>/<name>` stands in FILE.
With --mosaics, also writes to DIR larger images put together of the photos (so that decoding at a reduced scale
and progressive coding are compared too) and answers for them.

Needs what tools/requirements-model.txt names.
"""

import argparse
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).parent
MODEL = HERE / "resnet18-cats.onnx"
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
ORIENTATION = 0x0112
# The 12-megapixel images are ours.
Image.MAX_IMAGE_PIXELS = None


def opened(data: bytes) -> Image.Image:
    """The image as it is stored."""
    return Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"])


def decode(data: bytes) -> Image.Image:
    """The whole image upright, RGB, what is transparent over white."""
    return flatten(ImageOps.exif_transpose(opened(data)))


def flatten(image: Image.Image) -> Image.Image:
    """RGB over white. Of 16-bit greys the high byte counts, as with 16-bit colours."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def resized(size: int) -> int:
    """The short side of what the crop is cut from: as common.py has it, which says why."""
    return size * 13 // 12


def spare_scale(sides: tuple[int, int], size: int) -> int:
    """By how much an image of that width and height may be shrunk, fast and roughly, before it is resized: so that
    at least two pixels are left for one. Pillow's own shortcut for thumbnails, its `reducing_gap=2.0`."""
    return max(min(sides) // (2 * resized(size)), 1)


def view(data: bytes, size: int) -> Image.Image:
    """What the network sees of a file."""
    image = opened(data)
    whole, scale = image.size, 1
    if image.format == "JPEG":
        scale = max(scale for scale in (1, 2, 4, 8) if scale <= spare_scale(whole, size))
        if scale > 1:
            image.draft(image.mode, (whole[0] // scale, whole[1] // scale))
    if image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
        whole = whole[::-1]
    return crop(flatten(ImageOps.exif_transpose(image)), size, whole, scale)


def crop(image: Image.Image, size: int, whole: tuple[int, int] | None = None, scale: int = 1) -> Image.Image:
    """torchvision's Resize(resized(size)) and CenterCrop(size), of an image that its decoder shrank by `scale` from
    the size `whole`."""
    width, height = whole or image.size
    if scale == 1:
        scale = spare_scale((width, height), size)
        image = image.reduce(scale) if scale > 1 else image
    short, long = min(width, height), max(width, height)
    shorter = resized(size)
    longer = int(shorter * long / short)
    new = (shorter, longer) if width <= height else (longer, shorter)
    left, top = (int(round((side - size) / 2.0)) for side in new)
    end_x, end_y = width / scale, height / scale
    if longer <= 8000:
        whole_resized = image.resize(new, Image.Resampling.BILINEAR, box=(0, 0, end_x, end_y))
        return whole_resized.crop((left, top, left + size, top + size))
    # Pillow makes all of what the crop then throws away: of very long images only the middle is resized. The
    # same filter at the same places, so the same pixels but for rounding.
    scale_x, scale_y = end_x / new[0], end_y / new[1]
    box = (left * scale_x, top * scale_y, (left + size) * scale_x, (top + size) * scale_y)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


class Model:
    """The exported model in ONNX Runtime."""

    def __init__(self, path: Path = MODEL) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.size: int = self.session.get_inputs()[0].shape[2]

    def probabilities(self, cropped: Image.Image) -> np.ndarray:
        """Of an image of the model's size."""
        pixels = (np.asarray(cropped, np.float32) / 255 - MEAN) / DEVIATION
        logits = self.session.run(["logits"], {"image": pixels.transpose(2, 0, 1)[None]})[0][0].astype(np.float64)
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()


def answer(model: Model, data: bytes) -> dict:
    """Of one file."""
    return {"probabilities": [round(float(p), 7) for p in model.probabilities(view(data, model.size))]}


def photos(paths: list[Path], count: int | None) -> list[Path]:
    """Every photo named or in a folder named, or `count` of them, evenly."""
    found = []
    for path in paths:
        found += sorted(p for p in path.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")) if path.is_dir() else [path]
    if not found:
        sys.exit(f"No photo in {', '.join(map(str, paths))}.")
    if count is None or count >= len(found):
        return found
    return [found[i * len(found) // count] for i in range(count)]


def mosaics(found: list[Path], folder: Path) -> list[Path]:
    """Images of 2 x 2 to 13 x 13 photos: fine detail at every size, where upscaled photos would have none."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for number, (tiles, options) in enumerate(
        (tiles, {"subsampling": sampling, "progressive": progressive, "quality": 85})
        for tiles in (2, 3, 4, 6, 13)
        for sampling in ("4:2:0", "4:4:4")
        for progressive in (False, True)
    ):
        canvas = Image.new("RGB", (250 * tiles + 7, 250 * tiles))
        for place in range(tiles * tiles):
            tile = ImageOps.fit(decode(found[(number * 31 + place * 7) % len(found)].read_bytes()), (250, 250))
            canvas.paste(tile, (250 * (place % tiles), 250 * (place // tiles)))
        coding = "progressive" if options["progressive"] else "baseline"
        out.append(folder / f"{tiles}x{tiles}-{coding}-{options['subsampling'].replace(':', '')}.jpg")
        canvas.save(out[-1], **options)
    return out


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photos", nargs="+", type=Path)
    arguments.add_argument("--count", type=int)
    arguments.add_argument("--only", type=Path)
    arguments.add_argument("--mosaics", type=Path)
    arguments.add_argument("--model", type=Path, default=MODEL)
    given = arguments.parse_args()
    model = Model(given.model)
    found = photos(given.photos, given.count)
    if given.only:
        wanted = set(given.only.read_text(encoding="utf-8").split())
        found = [path for path in found if f"{path.parent.name}/{path.name}" in wanted]
    for path in found + (mosaics(found, given.mosaics) if given.mosaics else []):
        print(json.dumps({"file": str(path), "label": path.parent.name} | answer(model, path.read_bytes())), flush=True)


if __name__ == "__main__":
    main()
