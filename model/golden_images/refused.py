"""What is no image, is broken, or claims too much."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from . import jpeg, png, webp
from .drawing import cat, cat_with_alpha
from .jpeg_encoder import encode, segment
from .png_encoder import GREY, PALETTE, RGB, RGBA, SIGNATURE, chunk, header
from .png_encoder import encode as png_encode
from .sample import Refused

TOO_LARGE = "too_large"


def samples() -> list[Refused]:
    return [*others(), *jpegs(), *jpeg_claims(), *pngs(), *png_claims(), *webps(), *webp_claims()]


def cuts(name: str, ending: str, data: bytes, places: list[float]) -> list[Refused]:
    """`data` cut off after each share of it."""
    return [Refused(f"{name}-cut-{round(100 * place)}.{ending}", data[: int(len(data) * place)]) for place in places]


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def others() -> list[Refused]:
    image = cat(32, 24)
    return [
        Refused("empty.jpg", b""),
        Refused("one-byte.png", b"\x89"),
        Refused("zeros.jpg", bytes(4096)),
        Refused("text.jpg", "고양이 사진이 아닙니다. Not a cat's photo.\n".encode() * 20),
        Refused("html.png", b"<!DOCTYPE html><html><body><img src='cat.png'></body></html>"),
        Refused("json.webp", b'{"image": "uploads/nabi/0123.jpg"}'),
        Refused("svg.png", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><circle r='4'/></svg>"),
        Refused("gif.jpg", saved(image.quantize(16), "GIF")),
        Refused("bmp.jpg", saved(image, "BMP")),
        Refused("tiff.jpg", saved(image, "TIFF")),
        Refused("ico.png", saved(image, "ICO")),
        Refused("pdf.jpg", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"),
        Refused("heic.jpg", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200)),
        Refused("avif.webp", struct.pack(">I", 24) + b"ftypavif\0\0\0\0mif1avif" + bytes(200)),
        Refused("zip.png", b"PK\3\4" + bytes(200)),
        Refused("jpeg-after-text.jpg", b"text" + jpeg.pillow(image)),
        Refused("noise.jpg", np.random.default_rng(5).bytes(3000)),
    ]


def jpegs() -> list[Refused]:
    image = cat(48, 36, seed=41)
    baseline, progressive = jpeg.pillow(image), jpeg.pillow(image, progressive=True)
    restarts = jpeg.pillow(image, restart_marker_rows=1)
    planes = jpeg.components(image)
    plain = encode(planes, [(1, 1)] * 3)

    def without(marker: int) -> bytes:
        """Without its segments of that kind."""
        out, at = plain[:2], 2
        while plain[at + 1] != 0xDA:
            length = int.from_bytes(plain[at + 2 : at + 4], "big") + 2
            if plain[at + 1] != marker:
                out += plain[at : at + length]
            at += length
        return out + plain[at:]

    def frame(name: str, body: bytes, marker: int = 0xC0) -> Refused:
        """With another frame header."""
        at = plain.index(b"\xff\xc0")
        length = int.from_bytes(plain[at + 2 : at + 4], "big") + 2
        return Refused(name, plain[:at] + segment(marker, body) + plain[at + length :])

    def scan(name: str, body: bytes) -> Refused:
        at = plain.index(b"\xff\xda")
        length = int.from_bytes(plain[at + 2 : at + 4], "big") + 2
        return Refused(name, plain[:at] + segment(0xDA, body) + plain[at + length :])

    size = struct.pack(">HH", 36, 48)
    three = b"\x03\1\x11\0\2\x11\0\3\x11\0"
    return [
        *cuts("jpeg-baseline", "jpg", baseline, [0.01, 0.1, 0.3, 0.5, 0.75, 0.9]),
        *cuts("jpeg-progressive", "jpg", progressive, [0.2, 0.3, 0.5]),
        *cuts("jpeg-restarts", "jpg", restarts, [0.5, 0.8]),
        *cuts("jpeg-separate-scans", "jpg", encode(planes, [(1, 1)] * 3, interleaved=False), [0.5, 0.9]),
        # Legal, but no decoder of ours reads it: less grey than colour.
        Refused("jpeg-sampling-luma-smaller.jpg", encode(planes, [(1, 1), (2, 1), (2, 1)])),
        Refused("jpeg-only-soi.jpg", b"\xff\xd8"),
        Refused("jpeg-only-start.jpg", b"\xff\xd8\xff"),
        Refused("jpeg-soi-eoi.jpg", b"\xff\xd8\xff\xd9"),
        Refused("jpeg-only-headers.jpg", plain[: plain.index(b"\xff\xda")]),
        Refused("jpeg-no-scan.jpg", plain[: plain.index(b"\xff\xda")] + b"\xff\xd9"),
        Refused("jpeg-empty-scan.jpg", plain[: plain.index(b"\xff\xda") + 14] + b"\xff\xd9"),
        Refused("jpeg-no-frame.jpg", without(0xC0)),
        Refused("jpeg-no-quantisation.jpg", without(0xDB)),
        Refused("jpeg-two-frames.jpg", plain[: plain.index(b"\xff\xda")] + segment(0xC0, b"\x08" + size + three) + plain[plain.index(b"\xff\xda") :]),
        Refused("jpeg-length-past-end.jpg", plain[:2] + b"\xff\xe5\xff\xff" + plain[2:]),
        Refused("jpeg-length-zero.jpg", plain[:2] + b"\xff\xe5\0\0" + plain[2:]),
        frame("jpeg-arithmetic.jpg", b"\x08" + size + three, 0xC9),
        frame("jpeg-arithmetic-progressive.jpg", b"\x08" + size + three, 0xCA),
        frame("jpeg-lossless.jpg", b"\x08" + size + three, 0xC3),
        frame("jpeg-hierarchical.jpg", b"\x08" + size + three, 0xC5),
        frame("jpeg-12-bit.jpg", b"\x0c" + size + three, 0xC1),
        frame("jpeg-no-components.jpg", b"\x08" + size + b"\0"),
        frame("jpeg-five-components.jpg", b"\x08" + size + b"\x05" + b"".join(bytes([n, 0x11, 0]) for n in range(5))),
        frame("jpeg-same-component-twice.jpg", b"\x08" + size + b"\x03\1\x11\0\1\x11\0\3\x11\0"),
        frame("jpeg-sampling-0.jpg", b"\x08" + size + b"\x03\1\x01\0\2\x11\0\3\x11\0"),
        frame("jpeg-sampling-15.jpg", b"\x08" + size + b"\x03\1\xff\0\2\x11\0\3\x11\0"),
        frame("jpeg-width-0.jpg", b"\x08" + struct.pack(">HH", 36, 0) + three),
        frame("jpeg-height-0.jpg", b"\x08" + struct.pack(">HH", 0, 48) + three),
        frame("jpeg-frame-cut.jpg", b"\x08" + size + b"\x03\1\x11\0"),
        scan("jpeg-scan-of-unknown.jpg", b"\x03\1\0\x09\0\3\0\0\x3f\0"),
        scan("jpeg-scan-of-none.jpg", b"\0\0\x3f\0"),
        scan("jpeg-scan-huffman-3.jpg", b"\x03\1\x33\2\x33\3\x33\0\x3f\0"),
    ]


def claim(width: int, height: int, *, marker: int = 0xC0, components: int = 3) -> bytes:
    """A JPEG that says it is so large, and holds hardly anything."""
    plane = np.full((8, 8), 99, np.uint8)
    data = encode([plane] * components, [(1, 1)] * components)
    at = data.index(b"\xff\xc0")
    return data[:at] + bytes([0xFF, marker]) + data[at + 2 : at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def jpeg_claims() -> list[Refused]:
    return [
        Refused("jpeg-65535x65535.jpg", claim(65535, 65535), TOO_LARGE),
        Refused("jpeg-65535x65535-progressive.jpg", claim(65535, 65535, marker=0xC2), TOO_LARGE),
        Refused("jpeg-65535x65535-cmyk.jpg", claim(65535, 65535, components=4), TOO_LARGE),
        Refused("jpeg-65500x400-empty.jpg", claim(65500, 400)),
        # Allowed by their pixels, but nothing is there.
        Refused("jpeg-4000x3000-empty.jpg", claim(4000, 3000)),
        Refused("jpeg-3000x2000-empty-progressive.jpg", claim(3000, 2000, marker=0xC2)),
        Refused("jpeg-65535x1-empty.jpg", claim(65535, 1)),
        Refused("jpeg-1x65535-empty.jpg", claim(1, 65535)),
    ]


def pngs() -> list[Refused]:
    rgb = np.asarray(cat(70, 50, seed=42, noise=0))
    good = png_encode(rgb, 8, RGB)
    data = good[33:]

    def damaged(at: int) -> bytes:
        return good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]

    def ihdr(width: int, height: int, depth: int, colour: int, *more: int) -> bytes:
        body = struct.pack(">IIBB", width, height, depth, colour) + bytes(more or (0, 0, 0))
        return SIGNATURE + chunk(b"IHDR", body) + data

    end = chunk(b"IEND", b"")
    return [
        *cuts("png", "png", good, [0.01, 0.02, 0.05, 0.3, 0.6, 0.9]),
        *cuts("png-interlaced", "png", png_encode(rgb, 8, RGB, interlaced=True), [0.3, 0.9]),
        Refused("png-only-signature.png", SIGNATURE),
        Refused("png-text-mode-newlines.png", good.replace(b"\r\n", b"\n", 1)),
        Refused("png-header-crc.png", damaged(30)),
        Refused("png-data-crc.png", good[:-16] + b"\0\0\0\0" + end),
        Refused("png-data-flipped.png", damaged(len(good) // 2)),
        Refused("png-no-data.png", header(70, 50, 8, RGB) + end),
        Refused("png-empty-data.png", header(70, 50, 8, RGB) + chunk(b"IDAT", b"") + end),
        Refused("png-data-not-zlib.png", header(70, 50, 8, RGB) + chunk(b"IDAT", b"not zlib" * 9) + end),
        Refused("png-too-few-rows.png", header(70, 50, 8, RGB) + chunk(b"IDAT", zlib.compress(bytes(211 * 49))) + end),
        Refused("png-filter-9.png", header(70, 50, 8, RGB) + chunk(b"IDAT", zlib.compress((b"\x09" + bytes(210)) * 50)) + end),
        Refused("png-no-palette.png", header(70, 50, 8, PALETTE) + chunk(b"IDAT", zlib.compress(bytes(71 * 50))) + end),
        Refused("png-no-header.png", SIGNATURE + data),
        Refused("png-width-0.png", ihdr(0, 50, 8, RGB)),
        Refused("png-height-0.png", ihdr(70, 0, 8, RGB)),
        Refused("png-depth-3.png", ihdr(70, 50, 3, RGB)),
        Refused("png-rgb-depth-4.png", ihdr(70, 50, 4, RGB)),
        Refused("png-colour-5.png", ihdr(70, 50, 8, 5)),
        Refused("png-compression-1.png", ihdr(70, 50, 8, RGB, 1, 0, 0)),
        Refused("png-interlace-2.png", ihdr(70, 50, 8, RGB, 0, 0, 2)),
        Refused("png-chunk-past-end.png", good[:33] + b"\x7f\xff\xff\xffIDAT" + good[41:]),
        Refused("png-chunk-length-2-gi.png", good[:33] + b"\xff\xff\xff\xffiTXt" + good[33:]),
    ]


def png_bomb(width: int, height: int, depth: int, colour: int, bits: int) -> bytes:
    """Black all over: a thousandth of its size. Only as much of it as fits into 5 KB."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + (width * bits + 7) // 8)
    data = b""
    for _ in range(height):
        data += squeeze.compress(row)
        if len(data) > 5_000:
            break
    data += squeeze.flush()
    return header(width, height, depth, colour) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_claims() -> list[Refused]:
    return [
        Refused("png-2147483647x2147483647.png", claimed_png(2**31 - 1, 2**31 - 1), TOO_LARGE),
        Refused("png-65535x65535.png", png_bomb(65535, 65535, 1, GREY, 1), TOO_LARGE),
        Refused("png-30000x30000-rgba-16.png", claimed_png(30000, 30000, 16, RGBA), TOO_LARGE),
        Refused("png-200000000x1.png", claimed_png(200_000_000, 1, 8, RGB), TOO_LARGE),
        Refused("png-1x200000000.png", claimed_png(1, 200_000_000, 8, RGB), TOO_LARGE),
        Refused("png-65536x1.png", claimed_png(65_536, 1, 8, RGB), TOO_LARGE),
    ]


def claimed_png(width: int, height: int, depth: int = 8, colour: int = RGB) -> bytes:
    """A header that says so, and a little data."""
    return header(width, height, depth, colour) + chunk(b"IDAT", zlib.compress(bytes(5000))) + chunk(b"IEND", b"")


def webps() -> list[Refused]:
    image = cat(90, 70, seed=43, noise=0)
    lossy, lossless = webp.pillow(image), webp.pillow(image, lossless=True)
    soft = webp.pillow(cat_with_alpha(90, 70, seed=44))
    animated = webp.animated_part(image.resize((60, 50)))
    return [
        *cuts("webp-lossy", "webp", lossy, [0.01, 0.05, 0.3, 0.6, 0.9]),
        *cuts("webp-lossless", "webp", lossless, [0.01, 0.05, 0.3, 0.6, 0.9]),
        *cuts("webp-alpha", "webp", soft, [0.02, 0.1, 0.5, 0.9]),
        *cuts("webp-animated", "webp", animated, [0.02, 0.05, 0.3]),
        Refused("webp-only-riff.webp", b"RIFF\4\0\0\0WEBP"),
        Refused("webp-wave.webp", b"RIFF" + lossy[4:8] + b"WAVE" + lossy[12:]),
        Refused("webp-no-image.webp", webp.extended(90, 70, 0, webp.chunk(b"EXIF", b"II*\0"))),
        Refused("webp-no-alpha-plane.webp", webp.extended(90, 70, 0x10, webp.chunk(b"ALPH", b"") + lossy[12:])),
        Refused("webp-not-a-key-frame.webp", lossy[:20] + bytes([lossy[20] | 1]) + lossy[21:]),
        Refused("webp-start-code.webp", lossy[:23] + b"\0\0\0" + lossy[26:]),
        Refused("webp-lossless-version.webp", lossless[:24] + bytes([lossless[24] | 0xE0]) + lossless[25:]),
        Refused("webp-lossless-signature.webp", lossless[:20] + b"\0" + lossless[21:]),
        Refused("webp-width-0.webp", lossy[:26] + b"\0\0" + lossy[28:]),
        Refused("webp-canvas-differs.webp", webp.extended(91, 70, 0, lossy[12:])),
        Refused("webp-frame-outside.webp", webp.extended(40, 40, 0x12, animated[30:])),
    ]


def webp_claims() -> list[Refused]:
    image = cat(16, 16, seed=45, noise=0)
    lossy, lossless = webp.pillow(image), webp.pillow(image, lossless=True)
    most = struct.pack("<HH", 16383, 16383)
    large_lossy = lossy[:26] + most + lossy[30:]
    bits = int.from_bytes(lossless[21:25], "little")
    bits = bits & ~0xFFFFFFF | 16382 << 14 | 16382
    large_lossless = lossless[:21] + bits.to_bytes(4, "little") + lossless[25:]
    place = bytes(6) + bytes([15, 0, 0, 15, 0, 0]) + bytes([100, 0, 0, 0])
    anim = webp.chunk(b"ANIM", bytes(6))
    alpha = webp.chunk(b"ALPH", b"\0" + bytes(256))
    return [
        Refused("webp-16383x16383.webp", large_lossy, TOO_LARGE),
        Refused("webp-16383x16383-lossless.webp", large_lossless, TOO_LARGE),
        Refused("webp-16777216x16777216.webp", webp.extended(1 << 24, 1 << 24, 0, lossy[12:]), TOO_LARGE),
        Refused("webp-16777216x1-animated.webp", webp.extended(1 << 24, 1, 2, anim + webp.chunk(b"ANMF", place + lossy[12:]))),
        # A whole image, but too large for what WebP takes to decode.
        Refused("webp-4000x3000.webp", webp.pillow(Image.new("RGB", (4000, 3000), (150, 110, 70)), quality=0), TOO_LARGE),
        # The canvas is small, the picture on it says it is not.
        Refused("webp-canvas-16x16-picture-16383x16383.webp", webp.extended(16, 16, 0, large_lossy[12:])),
        Refused("webp-canvas-16x16-lossless-16383x16383.webp", webp.extended(16, 16, 0, large_lossless[12:])),
        Refused("webp-canvas-16x16-alpha-16383x16383.webp", webp.extended(16, 16, 0x10, alpha + large_lossy[12:])),
        Refused("webp-frame-16x16-picture-16383x16383.webp", webp.extended(16, 16, 2, anim + webp.chunk(b"ANMF", place + large_lossy[12:]))),
        Refused("webp-frame-16x16-alpha-16383x16383.webp", webp.extended(16, 16, 0x12, anim + webp.chunk(b"ANMF", place + alpha + large_lossy[12:]))),
    ]
