"""Checks what neither cfn-lint nor moto knows of template.yaml.

- Every value that a service gets is held against that service's own model (`models.py`), with all set-ups of
  tools/create.py, with each parameter at its limits, and with the longest name that a stack may have.
- A function that feeds itself must be allowed to (`loops.py`).
- The firewall must let through what people write (`firewall.py`).
"""

import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import create  # noqa: E402
import firewall  # noqa: E402
import loops  # noqa: E402
import models  # noqa: E402
from resolve import Resolver, refusals, variations  # noqa: E402


# What tools/create.py makes where a set-up has it.
EXAMPLES = {
    "CertificateArn": {
        "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
    },
    "VpcId": {
        "VpcId": "vpc-0123456789abcdef0",
        "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        "PublicSubnetIds": "subnet-0123456789abcdef2,subnet-0123456789abcdef3",
    },
}


def setups():
    """The set-ups of tools/create.py, each by what it shows."""
    for name, given in create.STACKS.items():
        examples = (example for parameter, example in EXAMPLES.items() if parameter in given)
        yield name, given | dict(one for example in examples for one in example.items())


def values(template):
    """What services refuse of a template, as lines."""
    found = {}
    for setup, given in setups():
        for about, parameters in variations(template, given):
            for name, resource in Resolver(template, parameters).resources():
                for place, wrong in models.check(resource):
                    found.setdefault(f"{name}.{place}: {wrong}", f"{setup}, {about}")
    return [f"{line} ({where})" for line, where in found.items()]


def parameters(template):
    """The set-ups that the template itself refuses, as lines."""
    for setup, given in setups():
        for wrong in refusals(template, given):
            yield f"{setup}: {wrong}"


def faults(template):
    """Everything that is wrong with an expanded template, as lines."""
    return [*parameters(template), *values(template), *loops.unallowed(template), *firewall.refused(template)]


def main():
    logging.disable(logging.WARNING)
    os.environ |= create.ENVIRONMENT
    found = faults(create.expanded())
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
