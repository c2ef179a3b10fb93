"""Fails where modules need each other in a circle.

    python tools/circles.py shared/src local/src

Modules are the files and folders beside each other under each root, and beside each other inside each of its folders.
A module needs those that its paths name: `crate::store::Error`, `super::item::Item`, and, through a re-export of its
parent, `super::Item`. A parent and its children may name each other, and what is built for tests alone is passed over.
"""

import collections
import pathlib
import re
import sys

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\[^\n]*?|[^\\\'\n])\'|'
    r"\w+|::|[{}\[\](),;*#!]|\S",
    re.DOTALL,
)


class Source:
    """A file's module path and its code as tokens, each with its line; no comments, texts or tests."""

    def __init__(self, root, file):
        self.file = file
        parts = list(file.relative_to(root).with_suffix("").parts)
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        self.module = tuple(parts)
        self.tokens = without_tests(tokens(file.read_text()))

    def paths(self):
        """Yields (path, line) for each path of the code that begins with `crate`, `self` or `super`."""
        at = 0
        while at < len(self.tokens):
            word, line = self.tokens[at]
            follows = [token for token, _ in self.tokens[at + 1 : at + 2]]
            if word in ("crate", "super", "self") and follows == ["::"]:
                tree, at = read_tree(self.tokens, at)
                for path in tree:
                    yield path, line
            else:
                at += 1

    def reexports(self):
        """Returns {name: path} of what the module takes from others by `use` or `pub use`."""
        found = {}
        for at, (word, _) in enumerate(self.tokens):
            if word == "use":
                for path in read_tree(self.tokens, at + 1)[0]:
                    found[path[-1]] = path[1:] if path[0] == "self" else path
        return found


def tokens(text):
    found = []
    line, last = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", last, match.start())
        last = match.start()
        token = match.group()
        if not token.startswith(("//", "/*", '"', 'b"', 'r"', "r#")):
            found.append((token, line))
    return found


def without_tests(all_tokens):
    """Drops each item under `#[cfg(test)]`, and the declarations `mod tests;`."""
    kept, at = [], 0
    words = [token for token, _ in all_tokens]
    while at < len(words):
        if words[at : at + 7] == ["#", "[", "cfg", "(", "test", ")", "]"]:
            at = end_of_item(words, at + 7)
        else:
            kept.append(all_tokens[at])
            at += 1
    return kept


def end_of_item(words, at):
    depth = 0
    while at < len(words):
        depth += {"{": 1, "}": -1}.get(words[at], 0)
        at += 1
        if depth == 0 and words[at - 1] in ("}", ";"):
            break
    return at


def read_tree(all_tokens, at):
    """Reads `a::b`, `a::{b, c::d}` or `a::b as c`; returns its paths and where it ends."""
    prefix = []
    while at < len(all_tokens):
        word = all_tokens[at][0]
        if word == "{":
            paths, at = [], at + 1
            while at < len(all_tokens) and all_tokens[at][0] != "}":
                branch, at = read_tree(all_tokens, at)
                paths += [prefix + path for path in branch]
                while at < len(all_tokens) and all_tokens[at][0] not in (",", "}"):
                    at += 1
                if at < len(all_tokens) and all_tokens[at][0] == ",":
                    at += 1
            return paths or [prefix], at + 1
        if not (word == "*" or re.match(r"\w", word)):
            break
        prefix.append(word)
        at += 1
        if at >= len(all_tokens) or all_tokens[at][0] != "::":
            break
        at += 1
    return ([prefix] if prefix else []), at


def needs(root):
    """Returns {folder: {module: {module it needs: where}}} for every folder under a root."""
    files = [
        file
        for file in sorted(root.rglob("*.rs"))
        if "tests" not in file.relative_to(root).with_suffix("").parts
    ]
    sources = {source.module: source for source in (Source(root, file) for file in files)}
    reexports = {module: source.reexports() for module, source in sources.items()}
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for module, source in sources.items():
        for path, line in source.paths():
            target = resolve(module, path, sources, reexports)
            shared = 0
            while shared < min(len(module), len(target)) and module[shared] == target[shared]:
                shared += 1
            if shared < len(module) and shared < len(target):
                where = found[module[:shared]][module[shared]]
                where.setdefault(target[shared], f"{source.file}:{line}: {'::'.join(path)}")
    return found


def resolve(module, path, sources, reexports):
    """Returns the module that has what a path names."""
    at = () if path[0] == "crate" else module
    rest = list(path)
    if rest[0] in ("crate", "self"):
        rest.pop(0)
    while rest and rest[0] == "super":
        at, rest = at[:-1], rest[1:]
    for _ in range(10):
        while rest and at + (rest[0],) in sources:
            at, rest = at + (rest[0],), rest[1:]
        taken = reexports.get(at, {}).get(rest[0]) if rest else None
        if not taken or at + (taken[0],) not in sources:
            break
        rest = list(taken) + rest[1:]
    return at


def circles(graph):
    """Returns circles of a graph: none only if there is none. Each module is in one of them at most."""
    found, done = [], set()
    for start in sorted(graph):
        if start in done:
            continue
        before, queue = {start: None}, collections.deque([start])
        end = None
        while queue and end is None:
            module = queue.popleft()
            for needed in sorted(graph.get(module, {})):
                if needed == start:
                    end = module
                    break
                if needed not in before:
                    before[needed] = module
                    queue.append(needed)
        if end is not None:
            circle = [end]
            while before[circle[-1]] is not None:
                circle.append(before[circle[-1]])
            circle.reverse()
            done.update(circle)
            found.append(circle)
    return found


def main(roots):
    bad = False
    for root in map(pathlib.Path, roots):
        if not root.is_dir():
            sys.exit(f"error: {root} is no folder")
        for folder, graph in sorted(needs(root).items()):
            for circle in circles(graph):
                bad = True
                place = root.joinpath(*folder)
                print(f"error: {place}: {' -> '.join([*circle, circle[0]])}", file=sys.stderr)
                for module, needed in zip(circle, [*circle[1:], circle[0]]):
                    print(f"  {graph[module][needed]}", file=sys.stderr)
    if bad:
        sys.exit("error: modules need each other: move what both sides need to a module below them")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("error: name the roots of crates, such as shared/src")
    main(sys.argv[1:])
