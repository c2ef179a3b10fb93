"""JPEG: every coding, sampling, colour space, orientation, and the sizes at which decoding at a scale changes."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

from . import exif
from .drawing import cat, smooth, static
from .jpeg_encoder import encode, segment
from .sample import Sample

W, H = 123, 91
ADOBE = b"Adobe\0\x64\0\0\0\0"
EXIF = b"Exif\0\0"


def pillow(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **({"quality": 72} | options))
    return file.getvalue()


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """A segment put right after SOI."""
    return jpeg[:2] + segment(marker, body) + jpeg[2:]


def samples(side: int) -> list[Sample]:
    """For a model that images are resized to `side` pixels of the short side for."""
    return [*codings(), *sampling(), *colour_spaces(), *orientations(), *sizes(side), *containers()]


def codings() -> list[Sample]:
    image, noisy = cat(W, H), static(48, 40)
    return [
        Sample("baseline-444", pillow(image, subsampling="4:4:4")),
        Sample("baseline-422", pillow(image, subsampling="4:2:2")),
        Sample("baseline-420", pillow(image, subsampling="4:2:0")),
        Sample("optimised", pillow(image, subsampling="4:2:0", optimize=True)),
        Sample("restart-blocks", pillow(image, subsampling="4:2:0", restart_marker_blocks=3)),
        Sample("restart-rows", pillow(image, subsampling="4:4:4", restart_marker_rows=1)),
        Sample("progressive-444", pillow(image, subsampling="4:4:4", progressive=True)),
        Sample("progressive-422", pillow(image, subsampling="4:2:2", progressive=True)),
        Sample("progressive-420", pillow(image, subsampling="4:2:0", progressive=True)),
        Sample("progressive-restart", pillow(image, progressive=True, restart_marker_rows=2)),
        Sample("quality-100", pillow(cat(44, 36), quality=100, subsampling="4:4:4")),
        Sample("quality-5", pillow(image, quality=5)),
        Sample("static", pillow(noisy, quality=95, subsampling="4:4:4")),
        Sample("static-420", pillow(noisy, quality=95, subsampling="4:2:0")),
    ]


def components(image: Image.Image) -> list[np.ndarray]:
    return [np.asarray(plane) for plane in image.convert("YCbCr").split()]


def sampling() -> list[Sample]:
    planes = components(cat(W, H, seed=11))
    one = (1, 1)
    return [
        Sample("sampling-440", encode(planes, [(1, 2), one, one])),
        Sample("sampling-411", encode(planes, [(4, 1), one, one])),
        Sample("sampling-410", encode(planes, [(4, 2), one, one])),
        Sample("sampling-441", encode(planes, [(1, 4), one, one])),
        Sample("sampling-422-chroma-tall", encode(planes, [(2, 2), (1, 2), (1, 2)])),
        Sample("sampling-uneven-chroma", encode(planes, [(2, 2), (2, 1), (1, 2)])),
        Sample("sampling-all-2x1", encode(planes, [(2, 1)] * 3)),
        Sample("sampling-grey-2x2", encode(planes[:1], [(2, 2)], restart=5)),
        Sample("separate-scans-420", encode(planes, [(2, 2), one, one], interleaved=False)),
        Sample("separate-scans-restart", encode(planes, [(2, 1), one, one], interleaved=False, restart=4)),
        Sample("extended-sequential", encode(planes, [(2, 2), one, one], frame=0xC1)),
        Sample("wide-tables", encode(planes, [one] * 3, frame=0xC1, wide_tables=True)),
        Sample("fill-bytes", encode(planes, [one] * 3, fill=b"\xff" * 5)),
        Sample("component-ids-0-1-2", encode(planes, [(2, 2), one, one], ids=b"\0\1\2\3", headers=segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"))),
    ]


def cmyk(image: Image.Image) -> Image.Image:
    """With some of the darkness in the black plate, as printers have it."""
    rgb = np.asarray(image).astype(float)
    black = 0.7 * (255 - rgb.max(axis=2))
    ink = 255 - rgb * 255 / np.maximum(255 - black, 1)[..., None]
    plates = np.concatenate([ink, black[..., None]], axis=2)
    return Image.fromarray(np.clip(np.rint(plates), 0, 255).astype(np.uint8), "CMYK")


def colour_spaces() -> list[Sample]:
    image = cat(W, H, seed=12)
    plates = cmyk(image)
    # As Adobe writes it: 255 is no ink. YCCK is the same with the first three as YCbCr.
    light = [255 - np.asarray(plate) for plate in plates.split()]
    ycc = components(Image.fromarray(np.stack(light[:3], axis=-1)))
    ycck = [*ycc, light[3]]
    rgb = [np.asarray(plane) for plane in image.split()]
    one = (1, 1)
    return [
        Sample("grey", pillow(image.convert("L"))),
        Sample("grey-progressive", pillow(image.convert("L"), progressive=True)),
        Sample("rgb", pillow(image, keep_rgb=True)),
        Sample("rgb-adobe", encode(rgb, [one] * 3, headers=segment(0xEE, ADOBE + b"\0"))),
        Sample("rgb-by-ids", encode(rgb, [one] * 3, ids=b"RGB")),
        Sample("ycc-adobe", encode(components(image), [(2, 1), one, one], headers=segment(0xEE, ADOBE + b"\1"))),
        Sample("cmyk", pillow(plates)),
        Sample("cmyk-progressive", pillow(plates, progressive=True)),
        # Without Adobe's mark nothing says which way round it is: as browsers do, the same as with it.
        Sample("cmyk-unmarked", encode(light, [one] * 4)),
        Sample("ycck", encode(ycck, [one] * 4, headers=segment(0xEE, ADOBE + b"\2"))),
        Sample("ycck-420", encode(ycck, [(2, 2), one, one, (2, 2)], headers=segment(0xEE, ADOBE + b"\2"))),
        Sample("ycck-422-restart", encode(ycck, [(2, 1), one, one, (2, 1)], restart=7, headers=segment(0xEE, ADOBE + b"\2"))),
    ]


def orientations() -> list[Sample]:
    image = cat(96, 68, seed=13, noise=1)
    thumbnail = pillow(image.resize((32, 24)), quality=40)
    out = []
    for value in range(1, 9):
        for name, big_endian in (("le", False), ("be", True)):
            data = pillow(image, quality=70, exif=EXIF + exif.orientation(value, big_endian=big_endian))
            out.append(Sample(f"exif-{value}-{name}", data))
    out += [
        Sample("exif-6-progressive", pillow(image, progressive=True, exif=EXIF + exif.orientation(6))),
        Sample("exif-6-long", pillow(image, exif=EXIF + exif.orientation(6, long=True))),
        Sample("exif-0", pillow(image, exif=EXIF + exif.orientation(0))),
        Sample("exif-9", pillow(image, exif=EXIF + exif.orientation(9))),
        Sample("exif-3-thumbnail-6", pillow(image, exif=EXIF + exif.orientation(3, thumbnail=(6, thumbnail)))),
        Sample("exif-broken", pillow(image, exif=EXIF + b"II*\0\xff\xff\xff\x7f" + b"\xff" * 20)),
        Sample("exif-empty", pillow(image, exif=EXIF)),
        # XMP shares its marker, and comes first here.
        Sample("exif-6-after-xmp", with_segment(pillow(image, exif=EXIF + exif.orientation(6)), 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")),
    ]
    large = smooth(960, 750)
    out.append(Sample("exif-6-large", pillow(large, quality=15, optimize=True, exif=EXIF + exif.orientation(6))))
    return out


def sizes(side: int) -> list[Sample]:
    out = []
    small = [(1, 1), (1, 300), (300, 1), (2, 2), (7, 5), (8, 8), (9, 9), (16, 16), (17, 33)]
    for width, height in [*small, (side, side), (side + 1, side - 1)]:
        for coding in ("4:4:4", "4:2:0") if width < 100 else ("4:2:0",):
            name = f"size-{width}x{height}-{coding.replace(':', '')}"
            out.append(Sample(name, pillow(cat(width, height, seed=width), subsampling=coding)))
    # Decoders halve, quarter and so on what is much larger than needed: on both sides of where that may change.
    for short in (2 * side - 1, 2 * side, 2 * side + 1, 4 * side - 1, 4 * side, 4 * side + 1, 8 * side + 1):
        width = short * 9 // 8
        detailed = short < 3 * side
        image = cat(width, short, seed=short, noise=0) if detailed else smooth(width, short)
        data = pillow(image, quality=60 if detailed else 20, subsampling="4:2:0", optimize=True)
        out.append(Sample(f"size-{width}x{short}", data))
    out += [
        Sample("size-1281x960-progressive", pillow(smooth(1281, 960), quality=15, progressive=True)),
        Sample("size-903x677-edges", pillow(cat(903, 677, noise=0), quality=12, optimize=True)),
        Sample("size-40x700", pillow(cat(40, 700, seed=21))),
        Sample("size-1200x70", pillow(cat(1200, 70, seed=22, noise=0), quality=40)),
    ]
    return out


def containers() -> list[Sample]:
    image = cat(96, 68, seed=14, noise=1)
    plain = pillow(image)
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)  # when it was made
    profile = bytes(profile)
    # Red and green swapped: a profile that shows if it is obeyed. Neither training nor Pillow obeys any.
    swapped = profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    half = len(profile) // 2
    split = segment(0xE2, b"ICC_PROFILE\0\1\2" + profile[:half]) + segment(0xE2, b"ICC_PROFILE\0\2\2" + profile[half:])
    return [
        Sample("icc", pillow(image, icc_profile=profile)),
        Sample("icc-swapped", pillow(image, icc_profile=swapped)),
        Sample("icc-in-two", plain[:2] + split + plain[2:]),
        Sample("comment", pillow(image, comment=b"a cat" * 50)),
        Sample("no-jfif", plain[:2] + plain[20:]),
        Sample("trailing-bytes", plain + b"\0" * 300 + b"and more"),
        Sample("second-image", plain + pillow(cat(64, 48, seed=15))),
        Sample("odd-segments", with_segment(plain, 0xEF, b"\xff\xd8\xff\xda\xff\xd9" * 30)),
    ]
