"""Creates the stack of template.yaml offline, with moto's implementation of CloudFormation.

SAM's own translator expands the template and moto creates the result, with two workarounds: Fn::Cidr is evaluated
beforehand, and AWS::NoValue is removed from lists. The check fails when a stack does not reach CREATE_COMPLETE, when a
resource exists although its condition does not hold or is missing although it does, and when moto's resource types no
longer match UNKNOWN, the list of types that this check says nothing about. Attributes of those types are made up here;
their names are left to cfn-lint.
"""

import ipaddress
import itertools
import json
import logging
import os
import re
import sys
from pathlib import Path

import boto3
from cfnlint.decode import cfn_yaml
from moto import mock_aws
from moto.cloudformation import parsing
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parent.parent.parent
REGION = "us-east-1"

# Types that moto does not implement and that are therefore not created. cfn-lint checks their properties.
UNKNOWN = {
    "AWS::CloudFront::CachePolicy",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudWatch::Alarm",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolDomain",
    "AWS::Cognito::UserPoolIdentityProvider",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::VPCCidrBlock",
    "AWS::ElastiCache::ParameterGroup",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::ServerlessCache",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::ElastiCache::User",
    "AWS::ElastiCache::UserGroup",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::WebACLAssociation",
}

# Resources that are not created either: routes to a gateway of an unknown type, and those that ListenerTokenCheck=on
# adds, since moto's listener rules lack the action jwt-validation.
LEFT_OUT = {"PrivateRouteIpv6A", "PrivateRouteIpv6B", "TokenIssuer", "TokenKeys"}

# The stacks to create: the parameters of each, by a name that is printed.
STACKS = {
    "defaults": {},
    "everything": {
        "CertificateArn": "to be requested",
        "WafRequestsPerAddress": "10000",
        "Egress": "nat-in-each-zone",
        "CacheKind": "nodes",
        "MailIdentityArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
        "MailFrom": "Purrline <purrline@example.com>",
        "GoogleClientId": "id",
        "GoogleClientSecret": "secret",
        "KakaoClientId": "id",
        "KakaoClientSecret": "secret",
        "AlarmEmail": "ops@example.com",
    },
    "another provider, an existing network, no logs of access": {
        "AuthIssuer": "https://id.example.com",
        "AuthAudience": "purrline",
        "VpcId": "to be made",
        "AccessLogDays": "0",
    },
}

# Made-up credentials: no call leaves this machine.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}


def source():
    """Returns the template as it is written."""
    return json.loads(json.dumps(cfn_yaml.load(str(ROOT / "template.yaml"))))


def expanded(template=None):
    """Returns the template (or the given one) as CloudFormation receives it, with placeholders for the code."""
    template = source() if template is None else template
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://code/function.zip"
    policies = ManagedPolicyLoader(boto3.client("iam", region_name=REGION))
    cidr = template["Parameters"]["VpcCidr"]["Default"]
    return with_evaluated_cidr(transform(template, {}, policies), cidr)


def with_evaluated_cidr(node, cidr):
    """Returns the node with every Fn::Cidr, which moto lacks, evaluated."""
    if isinstance(node, list):
        return [with_evaluated_cidr(one, cidr) for one in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Cidr" in node:
        whole, count, bits = node["Fn::Cidr"]
        own = whole == {"Fn::GetAtt": ["Vpc", "CidrBlock"]}
        whole = ipaddress.ip_network(cidr if own else "2600:1f18::/56")
        subnets = whole.subnets(new_prefix=whole.max_prefixlen - bits)
        return [str(one) for one in itertools.islice(subnets, count)]
    return {key: with_evaluated_cidr(one, cidr) for key, one in node.items()}


def with_placeholders(node, unknown):
    """Returns the node with placeholders for references to resources that moto can't create."""
    if isinstance(node, list):
        return [with_placeholders(one, unknown) for one in node]
    if isinstance(node, str):
        return re.sub(r"\$\{(%s)(\.\w+)*\}" % "|".join(unknown), r"some-\1", node)
    if not isinstance(node, dict):
        return node
    if node.get("Ref") in unknown:
        return "some-" + node["Ref"]
    if "Fn::GetAtt" in node and node["Fn::GetAtt"][0] in unknown:
        name, *attribute = node["Fn::GetAtt"]
        return f"arn:aws:some:{REGION}::{name}" if attribute[-1].lower() == "arn" else f"some-{name}"
    return {key: with_placeholders(one, unknown) for key, one in node.items()}


def holds(node, template, parameters):
    """Tells whether a condition holds."""
    if isinstance(node, str):
        return holds(template["Conditions"][node], template, parameters)
    ((name, argument),) = node.items()
    if name == "Condition":
        return holds(argument, template, parameters)
    if name == "Fn::Equals":
        one, other = (
            parameters.get(side["Ref"], template["Parameters"][side["Ref"]].get("Default"))
            if isinstance(side, dict)
            else side
            for side in argument
        )
        return str(one) == str(other)
    each = [holds(one, template, parameters) for one in argument]
    return {"Fn::Not": not each[0], "Fn::And": all(each), "Fn::Or": any(each)}[name]


def create_network():
    """Creates an existing network of two zones and returns the parameters that name it."""
    ec2 = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]

    def subnet(number, zone):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=REGION + zone)
        return made["Subnet"]["SubnetId"]

    return {
        "VpcId": vpc,
        "SubnetIds": f"{subnet(1, 'a')},{subnet(2, 'b')}",
        "PublicSubnetIds": f"{subnet(3, 'a')},{subnet(4, 'b')}",
    }


def check_dashboard(name):
    """Fails unless the dashboard's body is JSON whose widgets show lists of metrics, each in a place of its own."""
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    (made,) = cloudwatch.list_dashboards()["DashboardEntries"]
    body = cloudwatch.get_dashboard(DashboardName=made["DashboardName"])["DashboardBody"]
    places = set()
    for widget in json.loads(body)["widgets"]:
        shown, place = widget["properties"], (widget["x"], widget["y"])
        metrics = shown["metrics"]
        if place in places or "${" in shown["title"] or not metrics or not all(isinstance(one, list) for one in metrics):
            raise SystemExit(f"{name}: the dashboard's widget at {place} is wrong: {json.dumps(shown)}")
        places.add(place)


def create(name, parameters):
    """Creates a stack; returns all resources' types, the resources created, those expected, and the outputs."""
    with mock_aws(config={"lambda": {"use_docker": False}}):
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket="code")
        s3.put_object(Bucket="code", Key="function.zip", Body=b"")
        template = expanded()
        types = {key: resource["Type"] for key, resource in template["Resources"].items()}
        unknown = [key for key, kind in types.items() if kind not in parsing.get_model_map() or key in LEFT_OUT]
        for key in unknown:
            del template["Resources"][key]
        template = with_placeholders(template, unknown)
        if "CertificateArn" in parameters:
            acm = boto3.client("acm", region_name=REGION)
            parameters = parameters | acm.request_certificate(DomainName="api.example.com")
            del parameters["ResponseMetadata"]
        if "VpcId" in parameters:
            parameters = parameters | create_network()
        cloudformation = boto3.client("cloudformation", region_name=REGION)
        cloudformation.create_stack(
            StackName="purrline",
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        stack = cloudformation.describe_stacks(StackName="purrline")["Stacks"][0]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise SystemExit(f"{name}: {stack['StackStatus']}: {stack.get('StackStatusReason', '')}")
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName="purrline")
        summaries = [one for page in pages for one in page["StackResourceSummaries"]]
        # moto lists one resource without a name where conditions don't hold.
        created = {one["LogicalResourceId"] for one in summaries} - {""}
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        check_dashboard(name)
        expected = {
            key
            for key, resource in template["Resources"].items()
            if "Condition" not in resource or holds(resource["Condition"], template, parameters)
        }
    return types, created, expected, outputs


def patched_clean_json(clean):
    """Wraps moto's clean_json: AWS::NoValue is removed from lists, and unknown attributes get placeholders."""

    def cleaned(node, resources):
        if isinstance(node, dict) and "Fn::GetAtt" in node:
            name, *attribute = node["Fn::GetAtt"]
            if not hasattr(resources.get(name), "get_cfn_attribute"):
                return ".".join(["some-" + name, *attribute])
        if isinstance(node, dict) and "Fn::Select" in node:
            which, items = node["Fn::Select"]
            node = {"Fn::Select": [cleaned(which, resources), items]}
        result = clean(node, resources)
        return [one for one in result if one is not None] if isinstance(result, list) else result

    return cleaned


def main():
    logging.disable(logging.WARNING)
    parsing.clean_json = patched_clean_json(parsing.clean_json)
    os.environ |= ENVIRONMENT
    failed = False
    for name, parameters in STACKS.items():
        declared, created, expected, outputs = create(name, parameters)
        for key in sorted(created ^ expected):
            failed = True
            print(f"{name}: {key} was {'' if key in created else 'not '}created", file=sys.stderr)
        print(f"{name}: {len(created)} resources, {len(outputs)} outputs")
    known = parsing.get_model_map()
    unknown = {kind for kind in declared.values() if kind not in known}
    for kind in sorted(unknown ^ UNKNOWN):
        failed = True
        print(f"{kind}: moto {'does not implement' if kind in unknown else 'implements'} it: change UNKNOWN", file=sys.stderr)
    print("not created, since moto can't: " + ", ".join(sorted(UNKNOWN | LEFT_OUT)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
