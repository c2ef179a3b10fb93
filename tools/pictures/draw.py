#!/usr/bin/env python3
"""Draws tests/pictures: patches of colour, in profiles other than sRGB, and asks LittleCMS for their colours in sRGB.

    tools/pictures/draw.py            draws the images and writes colours.json beside them
    tools/pictures/draw.py --check    compares with what is there, changes nothing

Needs Pillow: tools/golden installs it and runs this.
"""

import argparse
import io
import json
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import icc
from PIL import Image, ImageCms

FOLDER = Path(__file__).parent.parent.parent / "tests" / "pictures"
SIDE, ACROSS, DOWN = 40, 8, 6
STEPS = (0, 51, 128, 204, 255)

# Primaries adapted to D50, as the published profiles have them.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))


def ink(c, m, y, k):
    """Returns Lab of an invented press: good enough to tell whether its table is used."""
    light = 100 * (1 - 0.45 * c) * (1 - 0.5 * m) * (1 - 0.1 * y) * (1 - 0.85 * k)
    return light, (-25 * c + 45 * m - 3 * y) * (1 - 0.8 * k), (-30 * c - 5 * m + 50 * y) * (1 - 0.8 * k)


def swapped(r, g, b):
    """Returns Lab of invented colours that no matrix gives."""
    return 100 * (0.2 * r + 0.7 * g + 0.1 * b), 40 * (r - g), 40 * (g - b) * (0.5 + 0.5 * r)


PROFILES = {
    "display-p3": icc.matrix("Display P3, about", DISPLAY_P3, 2.2),
    "adobe-rgb": icc.matrix("Adobe RGB, about", ADOBE_RGB, 563 / 256),
    "prophoto": icc.matrix("ProPhoto, about", PROPHOTO, 1.8),
    "table": icc.table("A table", b"RGB ", 3, 9, swapped),
    "grey": icc.grey("Grey of 1.8", 1.8),
    "press": icc.table("A press", b"CMYK", 4, 5, ink),
}


def patches(channels):
    """Returns the colours of the patches, in steps of each channel."""
    return [
        tuple(STEPS[(place * 7 + 3) // len(STEPS) ** channel % len(STEPS)] for channel in range(channels))
        for place in range(ACROSS * DOWN)
    ]


def drawing(mode):
    image = Image.new(mode, (SIDE * ACROSS, SIDE * DOWN))
    channels = len(image.getbands())
    for place, colour in enumerate(patches(channels)):
        left, top = place % ACROSS * SIDE, place // ACROSS * SIDE
        image.paste(colour if channels > 1 else colour[0], (left, top, left + SIDE, top + SIDE))
    return image


def file(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def jpeg(image, profile):
    return file(image, "JPEG", quality=100, subsampling=0, icc_profile=profile)


def png_16(image, profile):
    """Pillow writes no PNG of 16 bits and three channels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(
        b"\0" + bytes(byte for sample in image.crop((0, y, image.width, y + 1)).tobytes() for byte in (sample, sample))
        for y in range(image.height)
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0))
        + chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def samples():
    """Yields name, file and the profile that counts, if any."""
    rgb, grey, cmyk = drawing("RGB"), drawing("L"), drawing("CMYK")
    for name in ("display-p3", "adobe-rgb", "prophoto", "table"):
        yield f"{name}.jpg", jpeg(rgb, PROFILES[name]), PROFILES[name]
    p3 = PROFILES["display-p3"]
    yield "display-p3.png", file(rgb, "PNG", icc_profile=p3), p3
    yield "display-p3-opaque.png", file(rgb.convert("RGBA"), "PNG", icc_profile=p3), p3
    yield "display-p3-16.png", png_16(rgb, p3), p3
    yield "display-p3.webp", file(rgb, "WEBP", lossless=True, icc_profile=p3), p3
    yield "grey.jpg", jpeg(grey, PROFILES["grey"]), PROFILES["grey"]
    yield "grey.png", file(grey, "PNG", icc_profile=PROFILES["grey"]), PROFILES["grey"]
    yield "press.jpg", jpeg(cmyk, PROFILES["press"]), PROFILES["press"]
    yield "none.jpg", jpeg(rgb, None), None
    yield "none-cmyk.jpg", jpeg(cmyk, None), None
    yield "of-another-kind.jpg", jpeg(rgb, PROFILES["press"]), None
    yield "cut-short.jpg", jpeg(rgb, PROFILES["display-p3"][:200]), None


def in_srgb(data, profile):
    image = Image.open(io.BytesIO(data))
    image = image.convert("RGB") if image.mode == "RGBA" else image
    if profile is None:
        return image.convert("RGB")
    return ImageCms.profileToProfile(
        image,
        io.BytesIO(profile),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    colours = {}
    for name, data, profile in samples():
        (folder / name).write_bytes(data)
        image = in_srgb(data, profile)
        middles = [
            (place % ACROSS * SIDE + SIDE // 2, place // ACROSS * SIDE + SIDE // 2) for place in range(ACROSS * DOWN)
        ]
        colours[name] = [list(image.getpixel(middle)) for middle in middles]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in colours.items())
    (folder / "colours.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{len(colours)} images, {sum(path.stat().st_size for path in folder.iterdir()) // 1000} KB")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    if not arguments.parse_args().check:
        write(FOLDER)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        names = {path.name for path in [*FOLDER.iterdir(), *Path(folder).iterdir()]}
        different = [
            name
            for name in sorted(names)
            if not all((one / name).exists() for one in (FOLDER, Path(folder)))
            or (FOLDER / name).read_bytes() != (Path(folder) / name).read_bytes()
        ]
    if different:
        sys.exit(f"tests/pictures differs: {', '.join(different)}")


if __name__ == "__main__":
    main()
