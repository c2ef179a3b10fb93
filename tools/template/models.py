"""Checks resources against the models of AWS's services that botocore ships.

A model states the length, pattern, values and range of many fields of requests. For others only the documentation does,
in a few recurring phrases ("up to 64 characters", "valid characters: a-z, ..."), which are parsed too.
"""

import functools
import html
import json
import re

import botocore.session
import regex
from resolve import FREE, UNKNOWN, text
from table import TAKEN, TYPES, Exempt

_SESSION = botocore.session.get_session()

# The largest value of each type of integer.
_INTEGERS = {"integer": 2**31 - 1, "long": 2**63 - 1}


@functools.cache
def _service(name):
    return _SESSION.get_service_model(name)


def _plain(documentation):
    return html.unescape(re.sub(r"<[^>]+>", " ", documentation or ""))


_LONGEST = re.compile(
    r"(?:up to|(?:cannot|can't) be longer than|maximum of|maximum:?|max of|no more than|maximum length is|"
    r"maximum length of the string is|(?:from|between) 1 (?:to|and)) (\d[\d,]*) (?:[\w-]+ ){0,2}characters"
    r"|(\d[\d,]*) character limit",
    re.IGNORECASE,
)
_CHARACTERS = re.compile(
    r"(?:[Vv]alid characters:|[Vv]alid characters are|[Aa]llowed characters are)\s+(.+?)\.?(?:\s+[A-Z][a-z].*)?$"
)


@functools.cache
def documented_length(documentation):
    """Returns the greatest number of characters of a field according to its documentation, if that states one."""
    found = _LONGEST.search(" ".join(_plain(documentation).split()))
    return int((found[1] or found[2]).replace(",", "")) if found else None


@functools.cache
def documented_characters(documentation):
    """Returns a pattern of the characters that a field takes, if its documentation lists them."""
    found = _CHARACTERS.search(" ".join(_plain(documentation).split()))
    if not found:
        return None
    allowed = ""
    for item in re.split(r",? and |, ", found[1]):
        if re.fullmatch(r"\w-\w", item):
            allowed += item
        elif item.lower() in ("space", "spaces"):
            allowed += " "
        elif re.fullmatch(r"[^\sa-zA-Z0-9]+", item):
            allowed += "".join("\\" + one for one in item.strip('"'))
        else:
            # A description in words, which this cannot parse.
            return None
    return f"[{allowed}]*"


def wrong_text(value, shape, documentation):
    """Returns the fault of a text, if any."""
    free = FREE in value or UNKNOWN in value
    known = value.replace(UNKNOWN, "")
    limits = shape.metadata
    most = limits.get("max") or documented_length(documentation)
    if most is not None and len(known) > int(most):
        return f"has {len(known)} characters, and at most {most} are taken"
    characters = documented_characters(documentation)
    written = known.replace(FREE, "")
    if characters and not re.fullmatch(characters, written):
        refused = sorted({one for one in written if not re.fullmatch(characters, one)})
        return f"has characters that are not taken: {' '.join(refused)}"
    if free:
        return None
    if len(value) < int(limits.get("min", 0)):
        return f"has {len(value)} characters, and at least {limits['min']} are needed"
    if limits.get("enum") and value not in limits["enum"]:
        return f"is none of {', '.join(limits['enum'])}"
    if limits.get("pattern") and not regex.fullmatch(limits["pattern"], value):
        return f"does not match {limits['pattern']}"
    return None


def wrong_number(value, shape):
    if not isinstance(value, (int, float)) and (UNKNOWN in value or FREE in value):
        return None
    try:
        number = float(value)
    except ValueError:
        return "is no number"
    least = float(shape.metadata.get("min", "-inf"))
    most = float(shape.metadata.get("max", _INTEGERS.get(shape.type_name, "inf")))
    return None if least <= number <= most else f"is not within {least:g} to {most:g}"


def _field(structure, name):
    """Returns the field that takes a property of this name."""
    if name in structure.members:
        return structure.members[name]
    alike = [one for key, one in structure.members.items() if key.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


class Checker:
    """Checks the resources of one type against its model."""

    def __init__(self, kind):
        self.kind = kind
        self.service, self.operation, self.elsewhere = TYPES[kind]
        self.model = _service(self.service)

    def faults(self, properties):
        """Yields the path and the description of each fault."""
        yield from self._structure(properties, self._input(self.operation), "", "")

    def _input(self, operation):
        return self.model.operation_model(operation).input_shape

    def _target(self, place):
        """Returns the shape that `Operation:field.field` or `Shape:field` names."""
        start, path = place.split(":")
        shape = self._input(start) if start in self.model.operation_names else self.model.shape_for(start)
        for name in filter(None, path.split(".")):
            shape = shape.value if name == "*" else shape.members[name]
        return shape

    def _structure(self, value, shape, place, path):
        for name, one in value.items():
            at, general = (f"{place}.{name}".lstrip("."), f"{path}.{name}".lstrip("."))
            elsewhere = self.elsewhere.get(general)
            if isinstance(elsewhere, Exempt):
                continue
            if elsewhere is None:
                field = _field(shape, name)
            else:
                field = self._target(elsewhere) if ":" in elsewhere else shape.members[elsewhere]
            if field is None:
                yield at, f"{self.service}'s {shape.name} has no such field: tools/template/table.py must say which takes it"
            else:
                yield from self._value(one, field, at, general)

    def _value(self, value, shape, place, path):
        kind = shape.type_name
        if value == UNKNOWN:
            return
        if isinstance(value, list):
            # CloudFront's API wraps a list with its length; others take one request for each item.
            items = shape.members.get("Items") if kind == "structure" else shape
            if kind == "map":
                value = {one["Key"]: one["Value"] for one in value}
            elif items is not None and items.type_name == "list":
                yield from self._list(value, items, place, path)
                return
            else:
                for index, one in enumerate(value):
                    yield from self._value(one, shape, f"{place}.{index}", path)
                return
        if kind == "structure":
            yield from self._structure(value, shape, place, path)
        elif kind == "map":
            for name, one in value.items():
                yield from self._scalar(name, shape.key, f"{place}.{name}", path)
                yield from self._value(one, shape.value, f"{place}.{name}", path)
        elif kind == "list":
            yield from self._list([value], shape, place, path)
        else:
            yield from self._scalar(value, shape, place, path)

    def _list(self, value, shape, place, path):
        least, most = int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 10**9))
        if not least <= len(value) <= most:
            yield place, f"has {len(value)} items, which must be {least} to {most}"
        for index, one in enumerate(value):
            yield from self._value(one, shape.member, f"{place}.{index}", path)

    def _scalar(self, value, shape, place, path):
        wrong = None
        if shape.type_name == "string":
            if isinstance(value, (dict, list)):
                value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            wrong = wrong_text(text(value), shape, shape.documentation)
        elif shape.type_name in ("integer", "long", "float", "double"):
            wrong = wrong_number(value, shape)
        elif shape.type_name == "boolean" and text(value) not in ("true", "false", UNKNOWN):
            wrong = "is neither true nor false"
        if wrong and (self.kind, path) not in TAKEN:
            shown = re.sub(f"{FREE}+", "…", text(value).replace(UNKNOWN, "…"))
            yield place, f"{shown[:120]!r} {wrong}"


def check(resource):
    """Returns the path and the description of each fault of one resource whose properties are evaluated."""
    kind = resource["Type"]
    if kind not in TYPES:
        return [("Type", f"{kind} is new: tools/template/table.py must say which request makes it")]
    if isinstance(TYPES[kind], Exempt):
        return []
    return list(Checker(kind).faults(resource["Properties"]))
