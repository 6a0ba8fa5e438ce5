"""A walk through what boto3 offers on top of single requests: transfers, resources, waiters,
paginators, presigned addresses, versions, tags, copies and errors as exceptions.
Arguments: endpoint, access key, secret. Exits 1 on the first surprise."""

import hashlib
import io
import os
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError, WaiterError

endpoint, key, secret = sys.argv[1:]
MIB = 1 << 20


def client(access=key, password=secret, **more):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=password,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, **more),
    )


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        told = error.response
        found = (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"])
        assert found == (code, status), found
        return told
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def fetch(url, method="GET", data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


s3 = client()
data = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(700_000))

# Waiters: for a bucket and an object that come, and that go.
threading.Timer(0.3, lambda: s3.create_bucket(Bucket="walk")).start()
quick = {"Delay": 1, "MaxAttempts": 10}
s3.get_waiter("bucket_exists").wait(Bucket="walk", WaiterConfig=quick)
threading.Timer(0.3, lambda: s3.put_object(Bucket="walk", Key="late", Body=b"x")).start()
s3.get_waiter("object_exists").wait(Bucket="walk", Key="late", WaiterConfig=quick)
s3.delete_object(Bucket="walk", Key="late")
s3.get_waiter("object_not_exists").wait(Bucket="walk", Key="late", WaiterConfig=quick)
try:
    s3.get_waiter("object_exists").wait(Bucket="walk", Key="never", WaiterConfig={"Delay": 0, "MaxAttempts": 2})
    raise AssertionError("waited for nothing")
except WaiterError:
    pass

# The transfer manager: parts up, ranges down, from files and streams, with progress and metadata.
parts = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
seen = []
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "large")
    with open(path, "wb") as file:
        file.write(data)
    more = {"Metadata": {"build": "7"}, "ContentType": "application/x-test", "Tagging": "stage=raw"}
    s3.upload_file(path, "walk", "large", ExtraArgs=more, Config=parts, Callback=seen.append)
    assert sum(seen) == len(data)
    s3.download_file("walk", "large", path + ".back", Config=parts)
    with open(path + ".back", "rb") as file:
        assert file.read() == data
head = s3.head_object(Bucket="walk", Key="large")
assert head["ETag"].endswith('-5"') and head["Metadata"] == {"build": "7"} and head["ContentType"] == "application/x-test", head
s3.upload_fileobj(io.BytesIO(data[:1000]), "walk", "small", Config=parts)
back = io.BytesIO()
s3.download_fileobj("walk", "small", back)
assert back.getvalue() == data[:1000]

# Copies: whole, by parts, with new metadata, and onto itself, which needs a change.
s3.copy({"Bucket": "walk", "Key": "large"}, "walk", "copied", Config=parts)
assert s3.get_object(Bucket="walk", Key="copied")["Body"].read() == data
place = {"Bucket": "walk", "Key": "small"}
s3.copy_object(Bucket="walk", Key="small 2", CopySource=place, MetadataDirective="REPLACE", Metadata={"n": "1"})
assert s3.head_object(Bucket="walk", Key="small 2")["Metadata"] == {"n": "1"}
refused("InvalidRequest", 400, s3.copy_object, Bucket="walk", Key="small", CopySource=place)
refused("PreconditionFailed", 412, s3.copy_object, Bucket="walk", Key="x", CopySource=place, CopySourceIfMatch='"no"')
refused("NoSuchKey", 404, s3.copy_object, Bucket="walk", Key="x", CopySource={"Bucket": "walk", "Key": "no"})

# Tags of objects and buckets.
assert s3.get_object_tagging(Bucket="walk", Key="large")["TagSet"] == [{"Key": "stage", "Value": "raw"}]
tags = [{"Key": "stage", "Value": "done"}, {"Key": "who", "Value": "ann"}]
s3.put_object_tagging(Bucket="walk", Key="large", Tagging={"TagSet": tags})
assert s3.get_object_tagging(Bucket="walk", Key="large")["TagSet"] == tags
assert s3.get_object(Bucket="walk", Key="large", Range="bytes=0-0")["TagCount"] == 2
s3.delete_object_tagging(Bucket="walk", Key="large")
assert s3.get_object_tagging(Bucket="walk", Key="large")["TagSet"] == []
many = [{"Key": str(n), "Value": "x"} for n in range(11)]
refused("InvalidTag", 400, s3.put_object_tagging, Bucket="walk", Key="large", Tagging={"TagSet": many})
refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket="walk")
s3.put_bucket_tagging(Bucket="walk", Tagging={"TagSet": tags})
assert s3.get_bucket_tagging(Bucket="walk")["TagSet"] == tags

# Paginators: keys, folders, uploads, parts, versions.
for n in range(25):
    s3.put_object(Bucket="walk", Key=f"page/{n:02}/a&b", Body=b"")
for name in ["list_objects", "list_objects_v2"]:
    pages = list(s3.get_paginator(name).paginate(Bucket="walk", Prefix="page/", PaginationConfig={"PageSize": 10}))
    keys = [one["Key"] for page in pages for one in page["Contents"]]
    assert len(pages) == 3 and keys == [f"page/{n:02}/a&b" for n in range(25)], keys
    pages = s3.get_paginator(name).paginate(Bucket="walk", Prefix="page/", Delimiter="/", PaginationConfig={"PageSize": 7})
    folders = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
    assert folders == [f"page/{n:02}/" for n in range(25)], folders
after = s3.list_objects_v2(Bucket="walk", Prefix="page/", StartAfter="page/20/a&b", FetchOwner=True)
assert after["KeyCount"] == 4 and after["Contents"][0]["Owner"]["ID"] == "ann"
begun = [s3.create_multipart_upload(Bucket="walk", Key=f"open/{n}")["UploadId"] for n in range(5)]
for number in range(1, 6):
    s3.upload_part(Bucket="walk", Key="open/0", UploadId=begun[0], PartNumber=number, Body=b"p")
pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket="walk", PaginationConfig={"PageSize": 2})
assert sorted(one["UploadId"] for page in pages for one in page.get("Uploads", [])) == sorted(begun)
pages = s3.get_paginator("list_parts").paginate(Bucket="walk", Key="open/0", UploadId=begun[0], PaginationConfig={"PageSize": 2})
assert [one["PartNumber"] for page in pages for one in page["Parts"]] == [1, 2, 3, 4, 5]
wrong = {"Parts": [{"PartNumber": n, "ETag": '"0"'} for n in (1, 2)]}
refused("InvalidPart", 400, s3.complete_multipart_upload, Bucket="walk", Key="open/0", UploadId=begun[0], MultipartUpload=wrong)
part = s3.upload_part_copy(Bucket="walk", Key="open/1", UploadId=begun[1], PartNumber=1, CopySource=place, CopySourceRange="bytes=10-19")
made = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
s3.complete_multipart_upload(Bucket="walk", Key="open/1", UploadId=begun[1], MultipartUpload=made)
assert s3.get_object(Bucket="walk", Key="open/1")["Body"].read() == data[10:20]
for n in (0, 2, 3, 4):
    s3.abort_multipart_upload(Bucket="walk", Key=f"open/{n}", UploadId=begun[n])
refused("NoSuchUpload", 404, s3.list_parts, Bucket="walk", Key="open/0", UploadId=begun[0])

# Presigned addresses: get, put with a type that is signed, head, another method, another key, too late.
# Without being told, boto3 signs addresses with version 2: the refusal says what to ask for.
status, body = fetch(s3.generate_presigned_url("get_object", Params=place))
assert status == 400 and b"AWS4-HMAC-SHA256" in body, body
signer = client(signature_version="s3v4")
get = signer.generate_presigned_url("get_object", Params={**place, "ResponseContentType": "text/x", "ResponseContentDisposition": "attachment"})
with urllib.request.urlopen(get, timeout=30) as answer:
    assert answer.headers["Content-Type"] == "text/x" and answer.headers["Content-Disposition"] == "attachment"
    assert answer.read() == data[:1000]
put = signer.generate_presigned_url("put_object", Params={"Bucket": "walk", "Key": "by/url", "ContentType": "text/y"})
assert fetch(put, "PUT", b"hello", {"Content-Type": "text/z"})[0] == 403, "another type was signed"
assert fetch(put, "PUT", b"hello", {"Content-Type": "text/y"})[0] == 200
assert fetch(get, "DELETE")[0] == 403 and fetch(get.replace("small", "large"))[0] == 403
status, body = fetch(get.replace("X-Amz-Expires=3600", "X-Amz-Expires=604801"))
assert status == 403 and b"604800 seconds" in body, body

# Versions: the old ones are read, brought back by a copy, and gone one by one.
s3.put_bucket_versioning(Bucket="walk", VersioningConfiguration={"Status": "Enabled"})
ids = [s3.put_object(Bucket="walk", Key="v", Body=str(n).encode())["VersionId"] for n in range(3)]
assert s3.get_object(Bucket="walk", Key="v", VersionId=ids[0])["Body"].read() == b"0"
s3.copy_object(Bucket="walk", Key="v", CopySource={"Bucket": "walk", "Key": "v", "VersionId": ids[1]})
assert s3.get_object(Bucket="walk", Key="v")["Body"].read() == b"1"
marker = s3.delete_object(Bucket="walk", Key="v")
assert marker["DeleteMarker"]
told = refused("NoSuchKey", 404, s3.get_object, Bucket="walk", Key="v")
assert told["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
refused("MethodNotAllowed", 405, s3.get_object, Bucket="walk", Key="v", VersionId=marker["VersionId"])
pages = list(s3.get_paginator("list_object_versions").paginate(Bucket="walk", Prefix="v", PaginationConfig={"PageSize": 2}))
assert sum(len(page.get("Versions", [])) for page in pages) == 4 and sum(len(page.get("DeleteMarkers", [])) for page in pages) == 1
s3.delete_object(Bucket="walk", Key="v", VersionId=marker["VersionId"])
assert s3.get_object(Bucket="walk", Key="v")["Body"].read() == b"1"

# Conditions.
etag = s3.head_object(**place)["ETag"]
refused("304", 304, s3.get_object, **place, IfNoneMatch=etag)
refused("PreconditionFailed", 412, s3.get_object, **place, IfMatch='"no"')
refused("PreconditionFailed", 412, s3.put_object, **place, Body=b"x", IfMatch='"no"')
s3.put_object(**place, Body=b"x", IfMatch=etag)

# Errors, as a program tells them apart.
refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="not-there")
refused("NoSuchKey", 404, s3.get_object, Bucket="walk", Key="no")
refused("404", 404, s3.head_object, Bucket="walk", Key="no")
refused("InvalidRange", 416, s3.get_object, Bucket="walk", Key="copied", Range=f"bytes={len(data)}-")
refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket="walk")
refused("InvalidAccessKeyId", 403, client("AKNONE").list_buckets)
refused("SignatureDoesNotMatch", 403, client(password="wrong").list_buckets)
refused("KeyTooLongError", 400, s3.put_object, Bucket="walk", Key="k" * 1025, Body=b"")
refused("EntityTooSmall", 400, s3.complete_multipart_upload, **(lambda up: {
    "Bucket": "walk", "Key": "tiny", "UploadId": up,
    "MultipartUpload": {"Parts": [{"PartNumber": n, "ETag": s3.upload_part(Bucket="walk", Key="tiny", UploadId=up, PartNumber=n, Body=b"p")["ETag"]} for n in (1, 2)]},
})(s3.create_multipart_upload(Bucket="walk", Key="tiny")["UploadId"]))
try:
    s3.create_bucket(Bucket="Not_A_Name")
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidBucketName", error
select = {"Bucket": "walk", "Key": "small", "ExpressionType": "SQL", "Expression": "select * from s3object",
          "InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}}}
refused("NotImplemented", 501, s3.select_object_content, **select)

# Resources: buckets and objects as things, and a bucket emptied of all its versions.
resource = boto3.resource("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
bucket = resource.Bucket("walk")
assert bucket.creation_date and "walk" in [one.name for one in resource.buckets.all()]
assert sum(1 for _ in bucket.objects.filter(Prefix="page/")) == 25
thing = bucket.Object("thing")
thing.put(Body=b"made")
assert thing.get()["Body"].read() == b"made" and thing.content_length == 4
bucket.object_versions.delete()
for upload in bucket.multipart_uploads.all():
    upload.abort()
bucket.delete()
bucket.wait_until_not_exists()
