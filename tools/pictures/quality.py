#!/usr/bin/env python3
"""Prints how large the pictures of a folder of photos are, and how good, by the quality of their JPEGs.

    tools/quality FOLDER                                    pictures of every width
    tools/quality FOLDER --widths 640 --qualities 70 75     only these; likewise --samplings

Makes pictures as shared/src/picture does: upright, in sRGB, each from the next larger one by Lanczos' filter. Photos that
are narrower than a width are left out of it. A KB is 1,000 bytes. A score is SSIMULACRA2's, against the picture before it
is encoded: at 70, flaws are hard to notice without the original; at 80, with the original beside it; at 90, they are
invisible. A progressive and a baseline JPEG of the same quality have the same pixels, so the same score. Baseline has
optimised Huffman tables. The encoder is Pillow's libjpeg-turbo, with the tables of libjpeg-turbo-rs.

Needs what requirements-quality.txt lists: tools/quality installs it and runs this.
"""

import argparse
import io
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy
from PIL import Image, ImageCms, ImageOps
from ssimulacra2 import compute_ssimulacra2

WIDTHS = (320, 640, 1280)
QUALITIES = (60, 65, 70, 75, 80, 85, 90)
SAMPLINGS = ("4:2:0", "4:4:4")
# The least height of a picture that is scored, in pixels.
LOWEST = 256
KINDS = (".jpg", ".jpeg", ".png", ".webp")


def upright_in_srgb(path):
    image = Image.open(path)
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile is None:
        return image.convert("RGB")
    return ImageCms.profileToProfile(
        image,
        io.BytesIO(profile),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )


def file(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data


def score(reference, data):
    """Returns SSIMULACRA2 of a file. It compares at six scales, each half the last, and weights them wrongly where a
    picture is too low for the smallest: such a picture is continued by its mirror image."""

    def high_enough(data):
        pixels = numpy.asarray(Image.open(data).convert("RGB"))
        pixels = numpy.pad(pixels, ((0, max(0, LOWEST - len(pixels))), (0, 0), (0, 0)), "symmetric")
        return file(Image.fromarray(pixels), "PPM")

    return compute_ssimulacra2(high_enough(reference), high_enough(data))


def measure(path, widths, samplings, qualities):
    """Returns baseline bytes, progressive bytes and score of a photo's pictures, by width, sampling and quality."""
    picture, found = upright_in_srgb(path), {}
    original = picture.width
    for width in sorted((width for width in WIDTHS if width <= original), reverse=True):
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        if width not in widths:
            continue
        reference = file(picture, "PPM")
        for sampling in samplings:
            for quality in qualities:
                options = {"quality": quality, "subsampling": sampling}
                baseline = file(picture, "JPEG", optimize=True, **options)
                progressive = file(picture, "JPEG", progressive=True, **options)
                sizes = (len(data.getvalue()) for data in (baseline, progressive))
                found[width, sampling, quality] = (*sizes, score(reference, baseline))
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--widths", type=int, nargs="+", choices=WIDTHS, default=WIDTHS)
    arguments.add_argument("--samplings", nargs="+", choices=SAMPLINGS, default=SAMPLINGS)
    arguments.add_argument("--qualities", type=int, nargs="+", default=QUALITIES)
    arguments = arguments.parse_args()
    photos = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in KINDS)
    asked = {"widths": arguments.widths, "samplings": arguments.samplings, "qualities": arguments.qualities}
    with ProcessPoolExecutor() as pool:
        measured = list(pool.map(partial(measure, **asked), photos))
    for width in arguments.widths:
        print(f"{width} wide, {sum(any(key[0] == width for key in photo) for photo in measured)} photos")
        print("                   baseline, KB         progressive, KB           score")
        print("          quality  mean median    p90    mean median    p90   mean   p10")
        for sampling in arguments.samplings:
            for quality in arguments.qualities:
                key = width, sampling, quality
                rows = numpy.array([photo[key] for photo in measured if key in photo])
                if not len(rows):
                    continue
                sizes = "  ".join(
                    f"{size.mean():6.1f} {numpy.median(size):6.1f} {numpy.percentile(size, 90):6.1f}"
                    for size in rows[:, :2].T / 1000
                )
                score = rows[:, 2]
                print(f"{sampling}  {quality:7}{sizes}  {score.mean():5.1f} {numpy.percentile(score, 10):5.1f}")
        print()


if __name__ == "__main__":
    main()
