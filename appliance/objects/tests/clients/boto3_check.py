"""What a program with boto3 does; argv: endpoint, access key, secret. Exits 1 on the first surprise."""

import datetime
import hashlib
import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

endpoint, key, secret = sys.argv[1:]


def client(**more):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", retries={"max_attempts": 1}, **more),
    )


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def http(method, url, data=None, headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


s3 = client()
s3.create_bucket(Bucket="plain")
data = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(200_000))

# Streaming with a trailing checksum, ranges, unicode metadata, tags.
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    put = s3.put_object(Bucket="plain", Key="a/ü", Body=data, ChecksumAlgorithm=algorithm, Metadata={"k": "v"}, Tagging="t=1")
    assert put["Checksum" + algorithm]
got = s3.get_object(Bucket="plain", Key="a/ü", ChecksumMode="ENABLED")
assert got["Body"].read() == data and got["Metadata"] == {"k": "v"}
assert s3.get_object(Bucket="plain", Key="a/ü", Range="bytes=70000-70009")["Body"].read() == data[70000:70010]
assert s3.get_object_tagging(Bucket="plain", Key="a/ü")["TagSet"] == [{"Key": "t", "Value": "1"}]
refused("PreconditionFailed", s3.put_object, Bucket="plain", Key="a/ü", Body=b"x", IfNoneMatch="*")

# Encryption with a key of the client's: ranges cross the sealed chunks, and another key opens nothing.
own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
s3.put_object(Bucket="plain", Key="sealed", Body=data, **own)
assert s3.get_object(Bucket="plain", Key="sealed", Range="bytes=65530-131080", **own)["Body"].read() == data[65530:131081]
refused("InvalidRequest", s3.get_object, Bucket="plain", Key="sealed")
other = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"o" * 32}
refused("InvalidRequest", s3.get_object, Bucket="plain", Key="sealed", **other)

# Parts with checksums, read again by number.
upload = s3.create_multipart_upload(Bucket="plain", Key="parts", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
pieces = [data[:5 << 20], data[5 << 20:]]
parts = []
for number, body in enumerate(pieces, 1):
    part = s3.upload_part(Bucket="plain", Key="parts", UploadId=upload["UploadId"], PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
    parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
done = s3.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts})
whole = s3.put_object(Bucket="plain", Key="whole", Body=data, ChecksumAlgorithm="CRC32")
assert done["ChecksumCRC32"] == whole["ChecksumCRC32"], "the sum of the parts is the sum of the whole"
assert s3.get_object(Bucket="plain", Key="parts", PartNumber=2)["Body"].read() == pieces[1]

# A form of a browser, signed with version 4; one field more than signed is refused.
form = s3.generate_presigned_post("plain", "form/${filename}", Conditions=[["starts-with", "$key", "form/"], ["content-length-range", 1, 10]])


def post(fields, body):
    mark = "boundary-of-the-form"
    lines = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    lines.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\n')
    whole = "".join(lines).encode() + body + f"\r\n--{mark}--\r\n".encode()
    return http("POST", form["url"], whole, {"Content-Type": f"multipart/form-data; boundary={mark}"})


assert post(form["fields"], b"hello")[0] == 204
assert s3.get_object(Bucket="plain", Key="form/f.txt")["Body"].read() == b"hello"
assert post({**form["fields"], "acl": "public-read"}, b"hello")[0] == 403
assert post({**form["fields"], "x-amz-signature": "0" * 64}, b"hello")[0] == 403
assert post(form["fields"], b"too long for it")[0] == 400
status, _, body = post({"key": "form/x", "AWSAccessKeyId": key, "policy": "e30=", "signature": "x"}, b"hello")
assert status == 400 and b"Signature Version 2" in body

# Signature version 2 is refused by name.
status, _, body = http("GET", f"{endpoint}/plain", headers={"Authorization": f"AWS {key}:c2ln"})
assert status == 400 and b"AWS4-HMAC-SHA256" in body

# A page of another origin.
rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.site"], "AllowedHeaders": ["x-*"]}
s3.put_bucket_cors(Bucket="plain", CORSConfiguration={"CORSRules": [rule]})
asked = {"Origin": "https://a.site", "Access-Control-Request-Method": "GET"}
status, headers, _ = http("OPTIONS", f"{endpoint}/plain/x", headers=asked)
assert status == 200 and headers["access-control-allow-origin"] == "https://a.site"
assert http("OPTIONS", f"{endpoint}/plain/x", headers={**asked, "Origin": "https://b"})[0] == 403

# Locked versions stay; a marker hides them.
s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
version = s3.put_object(Bucket="locked", Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)["VersionId"]
refused("AccessDenied", s3.delete_object, Bucket="locked", Key="k", VersionId=version, BypassGovernanceRetention=True)
assert s3.delete_object(Bucket="locked", Key="k")["DeleteMarker"]
assert s3.get_object(Bucket="locked", Key="k", VersionId=version)["Body"].read() == b"x"

# Rules are given back as they came; a listing of versions folds at the delimiter.
rules = [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}]
s3.put_bucket_lifecycle_configuration(Bucket="plain", LifecycleConfiguration={"Rules": rules})
assert s3.get_bucket_lifecycle_configuration(Bucket="plain")["Rules"] == rules
folded = s3.list_object_versions(Bucket="plain", Delimiter="/")
assert [one["Prefix"] for one in folded["CommonPrefixes"]] == ["a/", "form/"], folded
print(json.dumps({"done": True}))
