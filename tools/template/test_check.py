"""Tests that each check of the template finds its fault, and finds none in the template as it is."""

import copy
import logging
import os
import unittest

import check
import create_stack
import firewall
import loops
import models
import table
from resolve import Resolver, refusals

logging.disable(logging.WARNING)
os.environ |= create_stack.ENVIRONMENT
EXPANDED = create_stack.expanded()
EVERYTHING = dict(check.setups())["everything"]

# Functions that send to their own queue on purpose.
LOOPING = {"FanOutFunction", "PhotoFunction"}


def template():
    """Returns a copy of the expanded template that the test may change."""
    return copy.deepcopy(EXPANDED)


def faults_of(changed, name, given=None):
    """Returns everything that is wrong with one resource, as one text."""
    resources = dict(Resolver(changed, given or {}).resources())
    return "\n".join(f"{place}: {wrong}" for place, wrong in models.check(resources[name]))


class Values(unittest.TestCase):
    def test_apostrophe_in_security_group_rule_is_refused(self):
        changed = template()
        rule = changed["Resources"]["FunctionSecurityGroup"]["Properties"]["SecurityGroupEgress"][0]
        self.assertEqual(faults_of(changed, "FunctionSecurityGroup"), "")
        rule["Description"] = "AWS services and the sign-in provider's keys"
        self.assertRegex(faults_of(changed, "FunctionSecurityGroup"), r"SecurityGroupEgress\.0\.Description: .* not taken: '")
        rule["Description"] = "._-:/()#,@[]+=&;{}!$* aZ0"
        self.assertEqual(faults_of(changed, "FunctionSecurityGroup"), "")

    def test_an_apostrophe_beside_an_unresolved_value_is_refused(self):
        changed = template()
        rule = changed["Resources"]["FunctionSecurityGroup"]["Properties"]["SecurityGroupEgress"][0]
        for unknown in "AWS::StackName", "LogLevel", "PostsTable":
            rule["Description"] = {"Fn::Sub": f"the provider's keys of ${{{unknown}}}"}
            self.assertRegex(faults_of(changed, "FunctionSecurityGroup"), r"Description: .* not taken: '$")
            rule["Description"] = {"Fn::Sub": f"keys of ${{{unknown}}}"}
            self.assertNotIn("not taken", faults_of(changed, "FunctionSecurityGroup"))

    def test_every_security_group_description_is_checked(self):
        for name, place in {
            "LoadBalancerSecurityGroup": ["SecurityGroupIngress", 1],
            "CacheSecurityGroup": ["SecurityGroupIngress", 0],
            "FunctionToCache": [],
        }.items():
            changed = template()
            at = changed["Resources"][name]["Properties"]
            for step in place:
                at = at[step]
            at["Description"] = "it's"
            self.assertIn("not taken: '", faults_of(changed, name))
        changed = template()
        changed["Resources"]["CacheSecurityGroup"]["Properties"]["GroupDescription"] = "the cache's"
        self.assertIn("not taken: '", faults_of(changed, "CacheSecurityGroup"))

    def test_name_of_65_characters_is_refused_where_64_are_the_limit(self):
        changed = template()
        access = changed["Resources"]["MediaOriginAccess"]["Properties"]["OriginAccessControlConfig"]
        access["Name"] = "x" * 64
        self.assertEqual(faults_of(changed, "MediaOriginAccess"), "")
        access["Name"] = "x" * 65
        self.assertIn("has 65 characters, and at most 64 are taken", faults_of(changed, "MediaOriginAccess"))

    def test_name_that_a_long_stack_name_makes_too_long_is_refused(self):
        changed = template()
        access = changed["Resources"]["MediaOriginAccess"]["Properties"]["OriginAccessControlConfig"]
        access["Name"] = {"Fn::Sub": "${AWS::StackName}-${AWS::Region}-media"}
        self.assertIn("at most 64 are taken", faults_of(changed, "MediaOriginAccess"))
        changed = template()
        changed["Resources"]["MediaDistribution"]["Properties"]["DistributionConfig"]["Comment"] = {
            "Fn::Sub": "Images of ${AWS::StackName}"
        }
        self.assertIn("has 138 characters, and at most 128", faults_of(changed, "MediaDistribution"))

    def test_parameter_that_may_exceed_its_field_is_refused(self):
        changed = template()
        del changed["Parameters"]["MailIdentityArn"]["MaxLength"]
        self.assertTrue(any("EmailConfiguration.SourceArn" in line for line in check.values(changed)))

    def test_lengths_patterns_ranges_and_enums_of_the_models_are_checked(self):
        for name, field, good, bad, wrong in [
            ("SweepFunction", "Timeout", 900, 0, "is not within 1 to"),
            ("SweepFunction", "Description", "x" * 256, "x" * 257, "at most 256"),
            ("SweepFunction", "RecursiveLoop", "Terminate", "Forbid", "is none of Allow, Terminate"),
            ("UserPoolDomain", "Domain", "cats-1", "cats_1", "does not match"),
            ("UserPool", "UserPoolName", "cats", "cats?", "does not match"),
            ("Dashboard", "DashboardName", "cats-1_2", "x" * 256, "at most 255"),
            ("Dashboard", "DashboardName", "cats-1_2", "cats?", "not taken: ?"),
        ]:
            changed = template()
            properties = changed["Resources"][name]["Properties"]
            properties[field] = good
            self.assertEqual(faults_of(changed, name), "", (name, field))
            properties[field] = bad
            self.assertIn(wrong, faults_of(changed, name), (name, field))

    def test_fields_and_types_missing_from_the_table_are_refused(self):
        changed = template()
        changed["Resources"]["AlarmTopic"]["Properties"]["Colour"] = "red"
        self.assertIn("Colour: sns's CreateTopicInput has no such field", faults_of(changed, "AlarmTopic"))
        changed["Resources"]["AlarmTopic"]["Type"] = "AWS::SNS::Megaphone"
        self.assertIn("AWS::SNS::Megaphone is new", faults_of(changed, "AlarmTopic"))

    def test_every_type_of_the_table_is_in_use(self):
        used = {resource["Type"] for resource in EXPANDED["Resources"].values()}
        self.assertEqual(set(table.TYPES) - used, set())


class Loops(unittest.TestCase):
    def test_self_invoking_function_needs_recursive_loop(self):
        changed = template()
        self.assertEqual(loops.self_invoking(changed), LOOPING)
        self.assertEqual(list(loops.unallowed(changed)), [])
        del changed["Resources"]["FanOutFunction"]["Properties"]["RecursiveLoop"]
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["FanOutFunction"])

    def test_functions_that_invoke_each_other_are_found(self):
        changed = template()
        statements = changed["Resources"]["IndexRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        send = {"Effect": "Allow", "Action": ["sqs:*"], "Resource": {"Fn::GetAtt": ["FanOutQueue", "Arn"]}}
        statements.append(send)
        self.assertEqual(loops.self_invoking(changed), LOOPING | {"IndexFunction"})
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["IndexFunction"])

    def test_function_that_calls_itself_or_triggers_its_own_event_is_found(self):
        for action, resource, more in [
            ("lambda:InvokeFunction", {"Fn::Sub": "${SweepFunction.Arn}"}, {}),
            (
                "s3:PutObject",
                {"Fn::Sub": "${UploadsBucket.Arn}/*"},
                {"LambdaConfigurations": [{"Function": {"Fn::GetAtt": ["SweepFunction", "Arn"]}}]},
            ),
        ]:
            changed = template()
            policies = changed["Resources"]["SweepFunctionRole"]["Properties"]["Policies"]
            statement = {"Effect": "Allow", "Action": action, "Resource": resource}
            policies[0]["PolicyDocument"]["Statement"].append(statement)
            if more:
                changed["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"] = more
            self.assertEqual(loops.self_invoking(changed), LOOPING | {"SweepFunction"})

    def test_recursive_loop_is_refused_where_nothing_loops(self):
        changed = template()
        changed["Resources"]["IndexFunction"]["Properties"]["RecursiveLoop"] = "Allow"
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["IndexFunction"])


class Firewall(unittest.TestCase):
    def test_rule_that_blocks_what_people_write_is_found(self):
        for rule in ["RestrictedExtensions_URIPATH", "GenericRFI_QUERYARGUMENTS", "Log4JRCE_BODY"]:
            changed = template()
            for entry in changed["Resources"]["Waf"]["Properties"]["Rules"]:
                group = entry["Statement"].get("ManagedRuleGroupStatement", {})
                overrides = group.get("RuleActionOverrides", [])
                group["RuleActionOverrides"] = [one for one in overrides if one["Name"] != rule]
            self.assertEqual(len(list(firewall.refused(changed))), 1, rule)

    def test_override_of_an_unknown_rule_is_found(self):
        changed = template()
        group = changed["Resources"]["Waf"]["Properties"]["Rules"][2]["Statement"]["ManagedRuleGroupStatement"]
        group["RuleActionOverrides"].append({"Name": "GenericRFI_Body", "ActionToUse": {"Count": {}}})
        self.assertEqual(len(list(firewall.refused(changed))), 1)


class Parameters(unittest.TestCase):
    def assert_refused(self, names, **given):
        """Asserts that the template refuses the parameters with one message that has each of the names."""
        found = refusals(EXPANDED, given)
        self.assertEqual(len(found), 1, (given, found))
        for name in names.split():
            self.assertIn(name, found[0])

    def assert_accepted(self, **given):
        self.assertEqual(refusals(EXPANDED, given), [], given)

    def test_stacks_are_accepted(self):
        for _, given in check.setups():
            self.assert_accepted(**given)

    def test_timeouts_longer_than_the_visibility_timeout_are_refused(self):
        self.assert_refused("ConsumerTimeoutSeconds", ConsumerTimeoutSeconds="70")
        self.assert_refused("VisibilityTimeoutSeconds ConsumerTimeoutSeconds", VisibilityTimeoutSeconds="65")
        self.assert_accepted(VisibilityTimeoutSeconds="3", CacheScheme="redis")
        for seconds in EXPANDED["Parameters"]["ConsumerTimeoutSeconds"]["AllowedValues"]:
            for window in ["1", "30"]:
                given = {"ConsumerTimeoutSeconds": str(seconds), "IndexWindowSeconds": window}
                self.assert_accepted(**given)
                resources = dict(Resolver(EXPANDED, given).resources())
                for name, mapping in EXPANDED["Resources"].items():
                    if mapping["Type"] != "AWS::Lambda::EventSourceMapping":
                        continue
                    (queue,) = loops.named(mapping["Properties"]["EventSourceArn"])
                    hidden = int(resources[queue]["Properties"]["VisibilityTimeout"])
                    if queue == "PhotosQueue":
                        # Its consumer may work twice at a time, and must soon do again what it didn't complete.
                        self.assertGreater(hidden, int(resources["PhotoFunction"]["Properties"]["Timeout"]))
                        continue
                    waited = int(resources[name]["Properties"].get("MaximumBatchingWindowInSeconds", 0))
                    self.assertGreaterEqual(hidden, 6 * seconds + waited, queue)
        self.assert_refused("IndexWindowSeconds", IndexWindowSeconds="31")

    def test_erasure_begins_after_every_upload_under_way_has_ended(self):
        # An upload may begin a quarter of an hour after it was allowed, and take as long again.
        self.assert_refused("ErasureSeconds", ErasureSeconds="1799")
        self.assert_refused("ErasureSeconds", ErasureSeconds="300")
        self.assert_accepted(ErasureSeconds="1800")
        self.assert_accepted(ErasureSeconds="1", CacheScheme="redis")

    def test_pictures_are_reviewed_after_every_request_has_ended(self):
        for seconds in ["1", "10", "60"]:
            self.assert_refused("PictureReviewSeconds", PictureReviewSeconds=seconds)
        resources = dict(Resolver(EXPANDED, {"PictureReviewSeconds": "15"}).resources())
        for name in ["PostWriteFunction", "ProfileFunction", "CatFunction", "LeaveFunction"]:
            properties = resources[name]["Properties"]
            self.assertEqual(properties["Environment"]["Variables"]["PICTURE_REVIEW_SECONDS"], "15")
            self.assertLess(int(properties["Timeout"]), 15, name)
        self.assert_accepted(PictureReviewSeconds="15")
        self.assert_accepted(PictureReviewSeconds="1", CacheScheme="redis")

    def test_urls_with_a_trailing_slash_are_refused(self):
        for name, more in {"AuthIssuer": {"AuthAudience": "x"}, "MediaBaseUrl": {}}.items():
            self.assert_accepted(**{name: "https://id.example.com/tenant"}, **more)
            self.assert_refused(name, **{name: "https://id.example.com/"}, **more)
        for origins in ["*", "https://cats.example", "https://cats.example, http://127.0.0.1:5173"]:
            self.assert_accepted(CorsOrigins=origins)
        for origins in ["http://127.0.0.1:5173/", "cats.example", "https://cats.example,x", "*,https://cats.example", "https://cats.example,*", ""]:
            self.assert_refused("CorsOrigins", CorsOrigins=origins)

    def test_unknown_log_levels_are_refused(self):
        for level in ["off", "debug", "info,purrline::feed=debug", "purrline=trace"]:
            self.assert_accepted(LogLevel=level)
        for level in ["loud", "", "info;debug", "INFO"]:
            self.assert_refused("LogLevel", LogLevel=level)

    def test_parameters_that_need_each_other_are_refused_alone(self):
        arn = EVERYTHING["MailIdentityArn"]
        self.assert_refused("AuthIssuer AuthAudience", AuthIssuer="https://id.example.com")
        self.assert_refused("AuthAudience AuthIssuer", AuthAudience="x")
        self.assert_refused("GoogleClientId AuthIssuer", GoogleClientId="x", GoogleClientSecret="x", AuthIssuer="https://a.b", AuthAudience="x")
        self.assert_refused("MailIdentityArn MailFrom", MailIdentityArn=arn)
        self.assert_refused("MailFrom MailIdentityArn", MailFrom="cats@example.com")
        self.assert_refused("GoogleClientId GoogleClientSecret", GoogleClientId="x")
        self.assert_refused("KakaoClientId KakaoClientSecret", KakaoClientId="x")
        self.assert_refused("ListenerTokenCheck CertificateArn", ListenerTokenCheck="on")
        self.assert_refused("SubnetIds VpcId", SubnetIds="subnet-00000001,subnet-00000002")
        self.assert_refused("SubnetIds", SubnetIds="subnet-00000001", VpcId="vpc-00000001", PublicSubnetIds="subnet-00000001,subnet-00000002")
        self.assert_refused("FirstZone SecondZone", FirstZone="1")
        self.assert_refused("WafRequestsPerAddress", WafRequestsPerAddress="9")
        self.assert_accepted(WafRequestsPerAddress="10")


class Protection(unittest.TestCase):
    # Tables whose rows expire or are computed anew.
    PASSING = {"TrendsTable", "IdempotencyTable"}

    def protected(self, given):
        found = set()
        for name, resource in Resolver(EXPANDED, given).resources():
            properties = resource["Properties"]
            if properties.get("DeletionProtectionEnabled") or properties.get("DeletionProtection") == "ACTIVE":
                found.add(name)
            for attribute in properties.get("LoadBalancerAttributes", []):
                if attribute == {"Key": "deletion_protection.enabled", "Value": "true"}:
                    found.add(name)
        return found

    def test_tables_with_user_data_are_protected_unless_switched_off(self):
        resources = EXPANDED["Resources"]
        tables = {name for name, one in resources.items() if one["Type"] == "AWS::DynamoDB::Table"}
        self.assertEqual(self.protected({}), (tables - self.PASSING) | {"UserPool", "LoadBalancer"})
        self.assertEqual(self.protected({"DeletionProtection": "off"}), set())

    def test_resources_deleted_with_the_stack_are_not_protected(self):
        kept = {
            name
            for name, one in EXPANDED["Resources"].items()
            if one.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
        }
        self.assertLessEqual(self.protected({}) - {"LoadBalancer"}, kept)


if __name__ == "__main__":
    unittest.main()
