"""Runs schemathesis against a fresh local stack; see tools/fuzz.

Most generated ids name nothing, so the ids of objects created beforehand are mixed in. Requests to leave have a token of
their own, so that no other request comes from a user who has left.
"""

import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/local/purrline-local"
HOOKS = ROOT / "tools/fuzz_hooks.py"
IMAGE = ROOT / "tests/images/jpeg-baseline-420.jpg"
PARAMETERS = ["ReadLimit=off", "WriteLimit=off", "ClassifyLimit=off", "IndexWindowSeconds=1"]

# A request that the schema allows is accepted, except for reasons that no schema can express:
#   403: the object with a generated id is somebody else's; 404: there is none.
#   409: a handle is taken.
#   422: an image or a cat that the request names does not exist or is somebody else's, or the bytes are not an image.
# A request that the schema does not allow is refused with one of the statuses below.
CHECKS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "403", "404", "409", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "413", "415", "422"]
"""


class Caller:
    """A user with a token."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        self.token = self.call("GET", f"/_local/token/{name}", token=None)["access_token"]

    def call(self, method, path, body=None, headers=None, token=""):
        headers = dict(headers or {})
        if token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        if isinstance(body, dict):
            headers["content-type"], body = "application/json", json.dumps(body).encode()
        address = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(address, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith(b"{") else None

    def upload(self):
        image = IMAGE.read_bytes()
        wanted = {"content_type": "image/jpeg", "size": len(image)}
        upload = self.call("POST", "/v1/uploads", wanted)
        self.call(upload["method"], upload["url"], image, upload["headers"], token=None)
        return upload["key"]

    def create_objects(self, friend):
        """Creates some objects of every kind, and returns their ids by kind."""
        image = self.upload()
        handle = f"{self.name}.handle"
        self.call("PUT", "/v1/me", {"handle": handle, "name": self.name, "avatar": image})
        cat = self.call("POST", "/v1/cats", {"name": "나비", "photo": image})["id"]
        post = {"text": "오늘의 #고양이 #cats", "images": [image], "cats": [cat]}
        posts = [self.call("POST", "/v1/posts", post)["id"] for _ in range(3)]
        comments = f"/v1/posts/{posts[0]}/comments"
        comment = self.call("POST", comments, {"text": "귀여워"})["id"]
        self.call("PUT", f"/v1/users/{friend}/follow")
        self.call("PUT", f"/v1/posts/{posts[0]}/like")
        self.call("PUT", f"/v1/posts/{posts[0]}/save")
        return {
            "posts": posts,
            "cats": [cat],
            "comments": [comment],
            "users": [self.name, f"@{handle}"],
            "ids": [self.name],
            "handles": [handle, f"{self.name}.other"],
            "keys": [image],
            "tags": ["고양이", "CATS"],
        }


def configuration(things, leaver):
    """Returns schemathesis's configuration: the ids to mix in, by the parameters that take them."""
    lines = [f'hooks = "{HOOKS}"', CHECKS]
    for name, values in things.items():
        lines.append(f"[dictionaries.{name}]\nvalues = {json.dumps(values, ensure_ascii=False)}\n")
    in_path = [
        (r"^/v1/posts/\{id\}", {"path.id": "posts", "path.comment_id": "comments"}),
        (r"^/v1/cats/\{id\}", {"path.id": "cats"}),
        (r"^/v1/tags/\{tag\}", {"path.tag": "tags"}),
        (r"^/v1/users/\{id\}(?!/follow$)", {"path.id": "users"}),
        (r"^/v1/users/\{id\}/follow$", {"path.id": "ids"}),
    ]
    in_body = {
        "body.handle": "own_handles",
        "body.avatar": "own_keys",
        "body.photo": "own_keys",
        "body.image": "own_keys",
        "body.images.0": "own_keys",
        "body.cats.0": "own_cats",
    }
    for path, names in in_path:
        lines.append(f"[[operations]]\ninclude-path-regex = '{path}'\n[operations.parameters]")
        lines += [bound(parameter, name) for parameter, name in names.items()]
    lines.append("\n[parameters]")
    lines += [bound(parameter, name) for parameter, name in in_body.items()]
    lines.append(
        "\n[[operations]]\ninclude-operation-id = 'leave'\n"
        f"headers = {{ Authorization = 'Bearer {leaver}' }}\n"
    )
    return "\n".join(lines)


def bound(parameter, name):
    return f'"{parameter}" = {{ dictionary = "{name}", probability = 0.8 }}'


def start(log):
    """Starts a stack, and returns its process and address."""
    options = [word for parameter in PARAMETERS for word in ("--param", parameter)]
    command = [PROGRAM, "up", "--ephemeral", "--port", "0", *options]
    with log.open("wb") as file:
        stack = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    while stack.poll() is None:
        if up := re.search(r"is up at (http://\S+)", log.read_text(errors="replace")):
            return stack, up[1]
        time.sleep(0.1)
    sys.exit(f"The stack does not start:\n{log.read_text(errors='replace')}")


def background_failures(url):
    """Returns the functions that failed and the queues with dead letters, as lines."""
    somebody = Caller(url, "somebody")
    somebody.call("POST", "/_local/drain?timeout=60", b"", token=None)
    status = somebody.call("GET", "/_local/status", token=None)
    kinds = [("functions", "errors"), ("queues", "dead_letters")]
    return [
        f"{name}: {of[what]} {what}"
        for kind, what in kinds
        for name, of in status[kind].items()
        if of[what]
    ]


def run(arguments, url, folder, log):
    fuzzer, other, leaver = (Caller(url, name) for name in ("fuzzer", "other", "leaver"))
    own, others = fuzzer.create_objects("other"), other.create_objects("fuzzer")
    things = {f"own_{name}": values for name, values in own.items()}
    things |= {name: values + others[name] for name, values in own.items()}
    file = folder / "schemathesis.toml"
    file.write_text(configuration(things, leaver.token), encoding="utf-8")
    command = ["schemathesis", "--config-file", file, "run", f"{url}/v1/openapi.json"]
    command += ["--header", f"Authorization: Bearer {fuzzer.token}", "--checks", "all"]
    command += ["--max-examples", str(arguments.examples), "--continue-on-failure"]
    command += ["--output-sanitize", "false"] if arguments.verbose else []
    if arguments.seed is not None:
        command += ["--seed", str(arguments.seed)]
    result = subprocess.run(command, cwd=folder, check=False).returncode
    wrong = background_failures(url)
    for line in wrong:
        print(f"In the background: {line}")
    if wrong:
        print(log.read_text(errors="replace")[-5000:])
    return 1 if wrong else result


def main():
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=200, help="requests for each operation [200]")
    parser.add_argument("--seed", type=int, help="generates the same requests again")
    parser.add_argument("--verbose", action="store_true", help="show tokens too")
    arguments = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is missing. Build it: cargo build --workspace --profile local")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log = folder / "stack.log"
        stack, url = start(log)
        try:
            result = run(arguments, url, folder, log)
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(timeout=60)
    sys.exit(result)


if __name__ == "__main__":
    main()
