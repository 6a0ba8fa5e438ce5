"""Sets notices on a bucket with boto3 and causes some. Arguments: endpoint, address of the hooks."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, hooks = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id="AKTEST",
    aws_secret_access_key="s",
    region_name="us-east-1",
    config=Config(s3={"addressing_style": "path"}),
)


def rules(address, events, **more):
    arn = f"arn:appliance:webhook:::{address}"
    return {"QueueConfigurations": [{"Id": "one", "QueueArn": arn, "Events": events, **more}]}


def refused(configuration):
    try:
        s3.put_bucket_notification_configuration(
            Bucket="told", NotificationConfiguration=configuration
        )
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidArgument", error
        return
    raise AssertionError(f"taken: {configuration}")


s3.create_bucket(Bucket="told")
assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="told")
refused(rules("http://192.0.2.1/told", ["s3:ObjectCreated:*"]))
refused(rules(f"{hooks}/told", ["s3:ReducedRedundancyLostObject"]))
events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
wanted = rules(
    f"{hooks}/told",
    events,
    Filter={"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
)
s3.put_bucket_notification_configuration(Bucket="told", NotificationConfiguration=wanted)
found = s3.get_bucket_notification_configuration(Bucket="told")["QueueConfigurations"][0]
assert found["Events"] == events and found["QueueArn"].endswith("/told"), found
assert found["Filter"]["Key"]["FilterRules"][0]["Value"] == "in/", found

s3.put_object(Bucket="told", Key="out/a", Body=b"nobody is told")
s3.put_object(Bucket="told", Key="in/a b", Body=b"1")
s3.put_object(Bucket="told", Key="in/c", Body=b"2")
s3.copy_object(Bucket="told", Key="in/copy", CopySource="told/in/c")
upload = s3.create_multipart_upload(Bucket="told", Key="in/parts")["UploadId"]
part = s3.upload_part(Bucket="told", Key="in/parts", UploadId=upload, PartNumber=1, Body=b"3")
s3.complete_multipart_upload(
    Bucket="told",
    Key="in/parts",
    UploadId=upload,
    MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
)
s3.delete_object(Bucket="told", Key="in/a b")
s3.delete_object(Bucket="told", Key="in/never")
s3.put_bucket_versioning(Bucket="told", VersioningConfiguration={"Status": "Enabled"})
s3.delete_object(Bucket="told", Key="in/c")
version = s3.list_object_versions(Bucket="told", Prefix="in/copy")["Versions"][0]["VersionId"]
s3.put_object(Bucket="told", Key="out/b", Body=b"nobody is told")
s3.delete_object(Bucket="told", Key="in/a b", VersionId="null")
s3.delete_object(Bucket="told", Key="in/copy", VersionId=version)
