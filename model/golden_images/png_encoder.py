"""A PNG encoder, for what Pillow can't write: every depth, interlacing, every filter, chunks as wanted."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
# First column and row, steps across and down, of Adam7's passes.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int, colour: int, interlaced: bool = False) -> bytes:
    """The signature and IHDR."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def encode(
    samples: np.ndarray,
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    before: list[tuple[bytes, bytes]] = (),
    after: list[tuple[bytes, bytes]] = (),
    split: int = 0,
) -> bytes:
    """`samples` is [height, width, channels]; `before` and `after` are chunks around the data; `split` cuts the
    data into chunks of that many bytes. Filters take turns, row by row."""
    height, width, channels = samples.shape
    assert channels == CHANNELS[colour]
    if interlaced:
        passes = [samples[y::down, x::across] for x, y, across, down in ADAM7]
        raw = b"".join(filtered(part, depth) for part in passes if part.size)
    else:
        raw = filtered(samples, depth)
    data = zlib.compress(raw, 9)
    pieces = [data[at : at + split] for at in range(0, len(data), split)] if split else [data]
    out = header(width, height, depth, colour, interlaced)
    out += b"".join(chunk(*extra) for extra in before)
    out += b"".join(chunk(b"IDAT", piece) for piece in pieces)
    out += b"".join(chunk(*extra) for extra in after)
    return out + chunk(b"IEND", b"")


def filtered(samples: np.ndarray, depth: int) -> bytes:
    """Rows packed to `depth` bits a sample, each after its filter's number."""
    height, width, channels = samples.shape
    flat = samples.reshape(height, width * channels)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    step = max(1, channels * depth // 8)
    rows = rows.astype(int)
    left = np.pad(rows, ((0, 0), (step, 0)))[:, : rows.shape[1]]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(rows, ((1, 0), (step, 0)))[:-1, : rows.shape[1]]
    estimate = left + up - corner
    off = [np.abs(estimate - x) for x in (left, up, corner)]
    paeth = np.where((off[0] <= off[1]) & (off[0] <= off[2]), left, np.where(off[1] <= off[2], up, corner))
    predictions = [np.zeros_like(rows), left, up, (left + up) // 2, paeth]
    out = bytearray()
    for y in range(height):
        kind = y % 5
        out.append(kind)
        out += ((rows[y] - predictions[kind][y]) % 256).astype(np.uint8).tobytes()
    return bytes(out)
