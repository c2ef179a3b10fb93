"""Checks properties of template.yaml that neither cfn-lint nor moto checks.

- Every value that a service receives matches that service's own model (`models.py`), for all stacks of
  `create_stack.py`, with each parameter at its limits, and with the longest possible stack name.
- A function that invokes itself through queues or topics declares so (`loops.py`).
- The firewall lets through texts that people write (`firewall.py`).
"""

import logging
import os
import sys

import create_stack
import firewall
import loops
import models
from resolve import Resolver, refusals, variations

# Values of the parameters that create_stack.py creates resources for, by the parameter that asks for them.
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
    """Yields the stacks of create_stack.py: the name and the parameters of each."""
    for name, given in create_stack.STACKS.items():
        examples = (example for parameter, example in EXAMPLES.items() if parameter in given)
        yield name, given | dict(one for example in examples for one in example.items())


def values(template):
    """Returns the values of a template that services refuse, as lines."""
    found = {}
    for setup, given in setups():
        for about, parameters in variations(template, given):
            for name, resource in Resolver(template, parameters).resources():
                for place, wrong in models.check(resource):
                    found.setdefault(f"{name}.{place}: {wrong}", f"{setup}, {about}")
    return [f"{line} ({where})" for line, where in found.items()]


def parameters(template):
    """Yields the stacks that the template's own rules refuse, as lines."""
    for setup, given in setups():
        for wrong in refusals(template, given):
            yield f"{setup}: {wrong}"


def faults(template):
    """Returns everything that is wrong with an expanded template, as lines."""
    return [*parameters(template), *values(template), *loops.unallowed(template), *firewall.refused(template)]


def main():
    logging.disable(logging.WARNING)
    os.environ |= create_stack.ENVIRONMENT
    found = faults(create_stack.expanded())
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
