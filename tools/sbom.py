"""Lists the crates that each function links; see tools/sbom.

The list comes from cargo's tree for that function alone: tools that read the workspace as a whole enable every feature
that any member asks for, so `health` would contain DynamoDB's client.
"""

import argparse
import pathlib
import subprocess

import tomli
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "target/sbom"
TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def linked(function, target):
    """Yields name, version and licence of the function's own crate, then of each crate that it links."""
    tree = ["cargo", "tree", "--locked", "--quiet", "--package", function, "--target", target]
    form = ["--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]
    lines = subprocess.run(tree + form, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in dict.fromkeys(lines.splitlines()):
        package, licence = line.split("\t")
        name, version, *_ = package.split(" ")
        yield name, version.removeprefix("v"), licence


def component(name, version, licence, checksum):
    """Returns a crate as a component; without a checksum it is a member of the workspace."""
    found = Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        bom_ref=f"{name}@{version}",
    )
    if checksum:
        found.purl = PackageURL("cargo", name=name, version=version)
        found.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=checksum)]
    return found


def main():
    parser = argparse.ArgumentParser(prog="tools/sbom", description="Writes the crates that each function links.")
    parser.add_argument("architecture", nargs="?", choices=TARGETS, default="x86_64")
    target = TARGETS[parser.parse_args().architecture]
    lock = tomli.loads((ROOT / "Cargo.lock").read_text())
    from_registry = (package for package in lock["package"] if package.get("source") == REGISTRY)
    checksums = {(package["name"], package["version"]): package["checksum"] for package in from_registry}

    OUT.mkdir(parents=True, exist_ok=True)
    for manifest in sorted(ROOT.glob("functions/*/Cargo.toml")):
        function = manifest.parent.name
        (_, version, licence), *crates = linked(function, target)
        bom = Bom()
        bom.metadata.component = component(function, version, licence, None)
        bom.metadata.component.type = ComponentType.APPLICATION
        for name, version, licence in crates:
            bom.components.add(component(name, version, licence, checksums.get((name, version))))
        bom.register_dependency(bom.metadata.component, bom.components)
        text = JsonV1Dot6(bom).output_as_string(indent=1)
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if wrong:
            raise SystemExit(f"{function}: {wrong}")
        (OUT / f"{function}.json").write_text(text)
        print(f"{function}: {len(crates)} crates")


if __name__ == "__main__":
    main()
