"""Maps the properties of each resource type in use to fields of AWS's requests.

A type names its service, as botocore calls it, and the operation that creates it. A property maps to the field of the
same name, ignoring case. Exceptions are listed here by the property's path without list indexes: `"Field"` is another
field of the same structure, `"Operation:field.field"` one of another request, `"Shape:field"` one of a structure of the
service, and `*` any value of a map. `Exempt` gives the reason why a property has no field.
"""


class Exempt(str):
    """The reason why a type or a property is checked against no model."""


# An entry of a security group's rules: EC2 has a structure for each kind of peer.
_PERMISSION = {
    "CidrIp": "IpRange:CidrIp",
    "CidrIpv6": "Ipv6Range:CidrIpv6",
    "Description": "IpRange:Description",
    "DestinationSecurityGroupId": "UserIdGroupPair:GroupId",
    "SourceSecurityGroupId": "UserIdGroupPair:GroupId",
}


def _within(prefix, fields):
    return {f"{prefix}.{name}": field for name, field in fields.items()}


_EC2_TAGS = {"Tags": "CreateTags:Tags"}

TYPES = {
    "AWS::CloudFront::CachePolicy": ("cloudfront", "CreateCachePolicy", {}),
    "AWS::CloudFront::Distribution": (
        "cloudfront",
        "CreateDistribution",
        {
            "DistributionConfig.IPV6Enabled": "IsIPV6Enabled",
            "DistributionConfig.DefaultCacheBehavior.CachedMethods": "CachedMethods:",
        },
    ),
    "AWS::CloudFront::OriginAccessControl": ("cloudfront", "CreateOriginAccessControl", {}),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm", {}),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "PutDashboard", {}),
    "AWS::Cognito::UserPool": ("cognito-idp", "CreateUserPool", {"UserPoolName": "PoolName"}),
    "AWS::Cognito::UserPoolClient": ("cognito-idp", "CreateUserPoolClient", {}),
    "AWS::Cognito::UserPoolDomain": ("cognito-idp", "CreateUserPoolDomain", {}),
    "AWS::Cognito::UserPoolIdentityProvider": ("cognito-idp", "CreateIdentityProvider", {}),
    "AWS::DynamoDB::Table": (
        "dynamodb",
        "CreateTable",
        {
            "PointInTimeRecoverySpecification": "UpdateContinuousBackups:PointInTimeRecoverySpecification",
            "TimeToLiveSpecification": "UpdateTimeToLive:TimeToLiveSpecification",
        },
    ),
    "AWS::EC2::EIP": ("ec2", "AllocateAddress", _EC2_TAGS),
    "AWS::EC2::EgressOnlyInternetGateway": ("ec2", "CreateEgressOnlyInternetGateway", _EC2_TAGS),
    "AWS::EC2::InternetGateway": ("ec2", "CreateInternetGateway", _EC2_TAGS),
    "AWS::EC2::NatGateway": ("ec2", "CreateNatGateway", _EC2_TAGS),
    "AWS::EC2::Route": ("ec2", "CreateRoute", {}),
    "AWS::EC2::RouteTable": ("ec2", "CreateRouteTable", _EC2_TAGS),
    "AWS::EC2::SecurityGroup": (
        "ec2",
        "CreateSecurityGroup",
        {
            "GroupDescription": "Description",
            "SecurityGroupEgress": "AuthorizeSecurityGroupEgress:IpPermissions",
            "SecurityGroupIngress": "AuthorizeSecurityGroupIngress:IpPermissions",
            **_within("SecurityGroupEgress", _PERMISSION),
            **_within("SecurityGroupIngress", _PERMISSION),
            **_EC2_TAGS,
        },
    ),
    "AWS::EC2::SecurityGroupEgress": ("ec2", "AuthorizeSecurityGroupEgress", _PERMISSION),
    "AWS::EC2::Subnet": ("ec2", "CreateSubnet", _EC2_TAGS),
    "AWS::EC2::SubnetRouteTableAssociation": ("ec2", "AssociateRouteTable", {}),
    "AWS::EC2::VPC": (
        "ec2",
        "CreateVpc",
        {
            "EnableDnsHostnames": "ModifyVpcAttribute:EnableDnsHostnames.Value",
            "EnableDnsSupport": "ModifyVpcAttribute:EnableDnsSupport.Value",
            **_EC2_TAGS,
        },
    ),
    "AWS::EC2::VPCCidrBlock": ("ec2", "AssociateVpcCidrBlock", {}),
    "AWS::EC2::VPCEndpoint": ("ec2", "CreateVpcEndpoint", {}),
    "AWS::EC2::VPCGatewayAttachment": ("ec2", "AttachInternetGateway", {}),
    "AWS::ElastiCache::ParameterGroup": (
        "elasticache",
        "CreateCacheParameterGroup",
        {"Properties": Exempt("settings of the engine, which no model knows; moto and cfn-lint don't either")},
    ),
    "AWS::ElastiCache::ReplicationGroup": ("elasticache", "CreateReplicationGroup", {}),
    "AWS::ElastiCache::ServerlessCache": ("elasticache", "CreateServerlessCache", {}),
    "AWS::ElastiCache::SubnetGroup": (
        "elasticache",
        "CreateCacheSubnetGroup",
        {"Description": "CacheSubnetGroupDescription"},
    ),
    "AWS::ElastiCache::User": ("elasticache", "CreateUser", {}),
    "AWS::ElastiCache::UserGroup": ("elasticache", "CreateUserGroup", {}),
    "AWS::ElasticLoadBalancingV2::Listener": (
        "elbv2",
        "CreateListener",
        {"ListenerAttributes": "ModifyListenerAttributes:Attributes"},
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": ("elbv2", "CreateRule", {}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        "elbv2",
        "CreateLoadBalancer",
        {"LoadBalancerAttributes": "ModifyLoadBalancerAttributes:Attributes"},
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        "elbv2",
        "CreateTargetGroup",
        {
            "TargetGroupAttributes": "ModifyTargetGroupAttributes:Attributes",
            "Targets": "RegisterTargets:Targets",
        },
    ),
    "AWS::Events::Rule": ("events", "PutRule", {"Targets": "PutTargets:Targets"}),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy", {"Roles": "AttachRolePolicy:RoleName"}),
    "AWS::IAM::Role": (
        "iam",
        "CreateRole",
        {"ManagedPolicyArns": "AttachRolePolicy:PolicyArn", "Policies": "PutRolePolicy:"},
    ),
    "AWS::Lambda::EventInvokeConfig": ("lambda", "PutFunctionEventInvokeConfig", {}),
    "AWS::Lambda::EventSourceMapping": ("lambda", "CreateEventSourceMapping", {}),
    "AWS::Lambda::Function": (
        "lambda",
        "CreateFunction",
        {"RecursiveLoop": "PutFunctionRecursionConfig:RecursiveLoop"},
    ),
    "AWS::Lambda::Permission": ("lambda", "AddPermission", {}),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup", {"RetentionInDays": "PutRetentionPolicy:retentionInDays"}),
    "AWS::S3::Bucket": (
        "s3",
        "CreateBucket",
        {
            "BucketEncryption": "PutBucketEncryption:ServerSideEncryptionConfiguration",
            "BucketEncryption.ServerSideEncryptionConfiguration": "Rules",
            "BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault": (
                "ApplyServerSideEncryptionByDefault"
            ),
            "CorsConfiguration": "PutBucketCors:CORSConfiguration",
            "CorsConfiguration.CorsRules.ExposedHeaders": "ExposeHeaders",
            "CorsConfiguration.CorsRules.MaxAge": "MaxAgeSeconds",
            "LifecycleConfiguration": "PutBucketLifecycleConfiguration:LifecycleConfiguration",
            "LifecycleConfiguration.Rules.ExpirationInDays": "LifecycleExpiration:Days",
            "LifecycleConfiguration.Rules.NoncurrentVersionExpiration": "NoncurrentVersionExpiration:",
            "LifecycleConfiguration.Rules.TagFilters": "LifecycleRuleAndOperator:Tags",
            "NotificationConfiguration": "PutBucketNotificationConfiguration:NotificationConfiguration",
            "NotificationConfiguration.QueueConfigurations.Event": "Events",
            "NotificationConfiguration.QueueConfigurations.Filter.S3Key": "Key",
            "NotificationConfiguration.QueueConfigurations.Filter.S3Key.Rules": "FilterRules",
            "NotificationConfiguration.QueueConfigurations.Queue": "QueueArn",
            "OwnershipControls": "PutBucketOwnershipControls:OwnershipControls",
            "PublicAccessBlockConfiguration": "PutPublicAccessBlock:PublicAccessBlockConfiguration",
        },
    ),
    "AWS::S3::BucketPolicy": ("s3", "PutBucketPolicy", {"PolicyDocument": "Policy"}),
    "AWS::SNS::Subscription": ("sns", "Subscribe", {}),
    "AWS::SNS::Topic": ("sns", "CreateTopic", {"DisplayName": "CreateTopic:Attributes.*"}),
    "AWS::SQS::Queue": (
        "sqs",
        "CreateQueue",
        {
            name: "CreateQueue:Attributes.*"
            for name in (
                "DelaySeconds",
                "MaximumMessageSize",
                "MessageRetentionPeriod",
                "ReceiveMessageWaitTimeSeconds",
                "RedrivePolicy",
                "SqsManagedSseEnabled",
                "VisibilityTimeout",
            )
        },
    ),
    "AWS::SQS::QueuePolicy": (
        "sqs",
        "SetQueueAttributes",
        {
            "PolicyDocument": "SetQueueAttributes:Attributes.*",
            "Queues": "SetQueueAttributes:QueueUrl",
        },
    ),
    "AWS::SSM::Parameter": ("ssm", "PutParameter", {}),
    "AWS::WAFv2::WebACL": ("wafv2", "CreateWebACL", {}),
    "AWS::WAFv2::WebACLAssociation": ("wafv2", "AssociateWebACL", {}),
}

# Values that a service takes although its model says otherwise: the reason, by type and path without indexes.
TAKEN = {}
