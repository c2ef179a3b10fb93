"""Writes small ICC profiles (ICC.1:2001-04, version 2.4)."""

import struct

D50 = (0.9642, 1.0, 0.8249)


def fixed(number):
    return struct.pack(">i", round(number * 65536))


def profile(space, tags, connection=b"XYZ "):
    """Returns a display profile with these tags, of the colours `space`."""
    first = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", first + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I", first + len(body)) + b"\0\0\0\0" + b"\x02\x40\0\0" + kind + space + connection
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + b"".join(map(fixed, D50)) + b"\0" * 48
    return head + table + body


def text(words):
    return b"text\0\0\0\0" + words.encode() + b"\0"


def description(words):
    data = words.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (4 + 4 + 2 + 1 + 67)


def names(words):
    return {b"desc": description(words), b"cprt": text("No copyright, use freely"), b"wtpt": xyz(D50)}


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def matrix(words, primaries, exponent):
    """Returns a profile of RGB by its three primaries, adapted to D50, and one exponent."""
    red, green, blue = primaries
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(exponent))
    return profile(b"RGB ", names(words) | {b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)} | curves)


def grey(words, exponent):
    return profile(b"GRAY", names(words) | {b"kTRC": gamma(exponent)})


def table(words, space, channels, points, lab):
    """Returns a profile by a table of `points` a channel, filled by `lab`, which takes numbers of 0 to 1."""
    head = b"mft1\0\0\0\0" + bytes([channels, 3, points, 0])
    head += b"".join(fixed(one) for one in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    straight = bytes(range(256))
    cells = b""
    for index in range(points**channels):
        place = [index // points ** (channels - 1 - channel) % points / (points - 1) for channel in range(channels)]
        light, a, b = lab(*place)
        cells += bytes(max(0, min(255, round(one))) for one in (light * 2.55, a + 128, b + 128))
    data = head + straight * channels + cells + straight * 3
    return profile(space, names(words) | {b"A2B0": data}, b"Lab ")
