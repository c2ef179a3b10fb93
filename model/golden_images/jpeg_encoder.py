"""A small baseline JPEG encoder, for what Pillow can't write: any sampling factors, components in scans of
their own, four components, unusual headers. Floating-point DCT, the standard's example tables."""

import struct

import numpy as np

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))

LUMA = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip

# Annex K.3: how many codes of each length, then their symbols.
DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
DC_SYMBOLS = bytes(range(12))
AC_COUNTS = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D])
AC_SYMBOLS = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
    "434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9"
    "aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def encode(
    planes: list[np.ndarray],
    sampling: list[tuple[int, int]],
    *,
    scale: float = 0.5,
    frame: int = 0xC0,
    wide_tables: bool = False,
    interleaved: bool = True,
    restart: int = 0,
    ids: bytes = b"\1\2\3\4",
    headers: bytes = b"",
    fill: bytes = b"",
) -> bytes:
    """`planes` are full-size 8-bit components, `sampling` their (horizontal, vertical) factors; each is averaged
    down as its factors say. `scale` multiplies the quantisation table, `frame` is the SOF marker, `wide_tables`
    writes 16-bit tables, `restart` is the restart interval in MCUs, `headers` follow SOI, `fill` precedes SOS."""
    height, width = planes[0].shape
    most_h, most_v = max(h for h, _ in sampling), max(v for _, v in sampling)
    mcus_x, mcus_y = -(-width // (8 * most_h)), -(-height // (8 * most_v))
    table = np.maximum(1, np.round(LUMA * scale)).astype(int)

    out = b"\xff\xd8" + headers
    values = [int(table[i]) for i in ZIGZAG]
    out += segment(0xDB, struct.pack(">B64H", 0x10, *values) if wide_tables else bytes([0, *values]))
    layout = b"".join(bytes([ids[n], h << 4 | v, 0]) for n, (h, v) in enumerate(sampling))
    out += segment(frame, struct.pack(">BHHB", 8, height, width, len(planes)) + layout)
    out += segment(0xC4, b"\0" + DC_COUNTS + DC_SYMBOLS) + segment(0xC4, b"\x10" + AC_COUNTS + AC_SYMBOLS)
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))

    blocks = []
    for plane, (h, v) in zip(planes, sampling):
        padded = np.pad(
            plane, ((0, mcus_y * 8 * most_v - height), (0, mcus_x * 8 * most_h - width)), mode="edge"
        ).astype(np.float64)
        down, across = most_v // v, most_h // h
        rows, columns = padded.shape
        small = padded.reshape(rows // down, down, columns // across, across).mean(axis=(1, 3))
        blocks.append(quantised(small, table))

    scans = [list(range(len(planes)))] if interleaved else [[n] for n in range(len(planes))]
    for scan in scans:
        out += fill + segment(0xDA, bytes([len(scan)]) + b"".join(bytes([ids[n], 0]) for n in scan) + b"\0\x3f\0")
        if len(scan) == 1:
            # A scan of one component has only the blocks that its picture needs.
            n = scan[0]
            h, v = sampling[n]
            across, down = -(-(-(-width * h // most_h)) // 8), -(-(-(-height * v // most_v)) // 8)
            units = [[(n, y, x)] for y in range(down) for x in range(across)]
        else:
            units = [
                [
                    (n, my * sampling[n][1] + y, mx * sampling[n][0] + x)
                    for n in scan
                    for y in range(sampling[n][1])
                    for x in range(sampling[n][0])
                ]
                for my in range(mcus_y)
                for mx in range(mcus_x)
            ]
        out += entropy_coded(blocks, units, restart)
    return out + b"\xff\xd9"


def quantised(plane: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Coefficients of every block, [rows, columns, 64] in zigzag order."""
    k = np.arange(8)
    basis = np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / 16) * np.where(k[:, None] == 0, np.sqrt(1 / 8), 0.5)
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    cells = (plane - 128).reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    coefficients = (basis @ cells @ basis.T).reshape(rows, columns, 64)
    return np.rint(coefficients / table).astype(int)[..., ZIGZAG]


def codes(counts: bytes, symbols: bytes) -> dict[int, str]:
    """Each symbol's Huffman code, as a string of bits."""
    table, code, at = {}, 0, 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            table[symbols[at]] = format(code, f"0{length}b")
            code, at = code + 1, at + 1
        code <<= 1
    return table


DC, AC = codes(DC_COUNTS, DC_SYMBOLS), codes(AC_COUNTS, AC_SYMBOLS)


def entropy_coded(blocks: list[np.ndarray], units: list[list[tuple[int, int, int]]], restart: int) -> bytes:
    """The scan's data: each unit a list of (component, row, column)."""
    out, bits, before = b"", [], [0] * len(blocks)
    for number, unit in enumerate(units):
        if restart and number and number % restart == 0:
            out += packed(bits) + bytes([0xFF, 0xD0 + (number // restart - 1) % 8])
            bits, before = [], [0] * len(blocks)
        for n, y, x in unit:
            block = blocks[n][y, x]
            bits.append(coded(DC, 0, int(block[0]) - before[n]))
            before[n] = int(block[0])
            zeros = 0
            last = int(np.flatnonzero(block)[-1]) if block.any() else 0
            for value in block[1 : last + 1]:
                if value == 0:
                    zeros += 1
                    continue
                while zeros > 15:
                    bits.append(AC[0xF0])
                    zeros -= 16
                bits.append(coded(AC, zeros, int(value)))
                zeros = 0
            if last < 63:
                bits.append(AC[0])
    return out + packed(bits)


def coded(table: dict[int, str], zeros: int, value: int) -> str:
    """A run of zeros, then a value."""
    size = abs(value).bit_length()
    extra = value if value > 0 else value + (1 << size) - 1
    return table[zeros << 4 | size] + (format(extra, f"0{size}b") if size else "")


def packed(bits: list[str]) -> bytes:
    """Bytes, filled up with ones, 0xFF stuffed."""
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")
