//! Buckets: make, list, look, set, delete.

use super::{
    access::{self, Action, Context, Right, authorize},
    acl,
    call::{Call, Who},
    dates,
    deed::Deed,
    error::{Code, S3Error},
    object::bucket_of,
    payload,
    policy::{POLICY_MAX, Policy},
    route::{document, empty, set, xml},
    setting,
    xml::Xml,
};
use crate::{
    bucket::{self, Bucket, Settings, Versioning, is_name},
    details,
    keys::Verb,
    objects::now,
};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use store::objects::{BucketRow, NewBucket};

/// Buckets of one answer, as on S3.
const BUCKETS_MAX: u32 = 10_000;

/// Buckets read at once.
const BUCKETS_PAGE: u32 = 1000;

const GET_ACL: Action = Action::new("s3:GetBucketAcl", Verb::Manage, Right::Bucket("READ_ACP"));
const PUT_ACL: Action = Action::new("s3:PutBucketAcl", Verb::Manage, Right::Bucket("WRITE_ACP"));

/// Which buckets are to be told.
struct Listing {
    /// `None` for those of all owners.
    owner: Option<String>,
    prefix: String,
    after: String,
    limit: usize,
}

impl Listing {
    fn of(call: &Call) -> Result<Self, S3Error> {
        let limit = call.number("max-buckets")?.unwrap_or(BUCKETS_MAX);
        if !(1..=BUCKETS_MAX).contains(&limit) {
            return Err(Code::InvalidArgument
                .says(format!("max-buckets must be between 1 and {BUCKETS_MAX}.")));
        }
        // Every bucket is of the one region.
        let region = call.param("bucket-region").filter(|region| !region.is_empty());
        let elsewhere = region.is_some_and(|region| region != call.objects.inner.config.region);
        let text = |name| call.param(name).unwrap_or_default().to_owned();
        Ok(Self {
            owner: (!access::may_all(&call.who)).then(|| call.who.owner().to_owned()),
            prefix: text("prefix"),
            after: text("continuation-token"),
            limit: if elsewhere { 0 } else { usize::try_from(limit).unwrap_or(usize::MAX) },
        })
    }

    /// The buckets, and whether there are more.
    fn read(&self, reader: &store::Reader<'_>) -> Result<(Vec<BucketRow>, bool), crate::Error> {
        let (mut found, mut after) = (Vec::new(), self.after.clone());
        while self.limit > 0 && found.len() <= self.limit {
            let rows = reader.bucket_list(self.owner.as_deref(), &after, BUCKETS_PAGE)?;
            let Some(last) = rows.last() else { break };
            last.name.clone_into(&mut after);
            let beyond = after > self.prefix && !after.starts_with(&self.prefix);
            found.extend(rows.into_iter().filter(|row| row.name.starts_with(&self.prefix)));
            if beyond {
                break;
            }
        }
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        Ok((found, more))
    }
}

pub(super) async fn list_all(call: &Call) -> Result<Response, S3Error> {
    access::known(call)?;
    let listing = Listing::of(call)?;
    let (buckets, more) = call.objects.read(move |reader| listing.read(reader)).await?;
    let next = buckets.last().filter(|_| more).map(|bucket| bucket.name.clone());
    let region = &call.objects.inner.config.region;
    Ok(xml(Xml::document("ListAllMyBucketsResult", |xml| {
        acl::write_owner(xml, "Owner", call.who.owner(), display(&call.who));
        xml.nest("Buckets", |xml| {
            for bucket in &buckets {
                xml.nest("Bucket", |xml| {
                    xml.text("Name", &bucket.name);
                    xml.text("CreationDate", &dates::iso(bucket.created));
                    xml.text("BucketRegion", region);
                });
            }
        });
        xml.optional("ContinuationToken", next.as_deref());
        xml.optional("Prefix", call.param("prefix").filter(|prefix| !prefix.is_empty()));
    })))
}

fn display(who: &Who) -> &str {
    match who {
        Who::Key { owner, .. } => &owner.display,
        Who::House | Who::Anonymous => who.owner(),
    }
}

/// A key may make buckets in its own name: not one that is narrowed, unless a rule says so.
fn may_create(call: &Call) -> bool {
    match &call.who {
        Who::Anonymous => false,
        Who::House => true,
        Who::Key { scope, .. } => scope.covers(&call.bucket, "", Verb::Manage),
    }
}

pub(super) async fn create(call: &mut Call) -> Result<Response, S3Error> {
    if !may_create(call) {
        return Err(Code::AccessDenied.into());
    }
    if !is_name(&call.bucket) {
        return Err(Code::InvalidBucketName.into());
    }
    let bytes = payload::document(call).await?;
    if !bytes.is_empty() && super::xml::parse(&bytes).is_none() {
        return Err(Code::MalformedXML.into());
    }
    let owner = call.who.owner().to_owned();
    let mut bucket = Bucket {
        id: 0,
        name: call.bucket.clone(),
        owner: owner.clone(),
        created: call.now,
        versioning: Versioning::Off,
        settings: Settings::default(),
    };
    let locks = call.header("x-amz-bucket-object-lock-enabled");
    if locks.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        bucket.settings.lock = true;
        bucket.versioning = Versioning::On;
    }
    bucket.settings.ownership =
        call.header("x-amz-object-ownership").map(setting::ownership).transpose()?;
    bucket.settings.grants = acl::from_headers(call, &owner, &bucket).await?.flatten();
    let deed = Deed::create(call);
    call.objects.write(move |txn| insert(txn, &bucket, &deed)).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "location", &format!("/{}", call.bucket));
    Ok(response)
}

fn insert(txn: &mut store::Txn<'_>, bucket: &Bucket, deed: &Deed) -> Result<(), S3Error> {
    if let Some(existing) = txn.bucket_get(&bucket.name)? {
        // Asked for again as it is, the bucket is there, as in S3's first region; a request that
        // would change it is refused, and so is another owner's.
        let existing = Bucket::from_row(existing)?;
        let same = existing.owner == bucket.owner
            && existing.settings.grants == bucket.settings.grants
            && existing.settings.lock == bucket.settings.lock;
        return if same { Ok(()) } else { Err(Code::BucketAlreadyExists.into()) };
    }
    txn.bucket_insert(&NewBucket {
        name: &bucket.name,
        owner: &bucket.owner,
        created: bucket.created,
        versioning: bucket.versioning.as_str(),
        settings: &details::text(&bucket.settings),
    })?;
    deed.note(txn)
}

pub(super) async fn head(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST, &bucket, Context::default())?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "x-amz-bucket-region", &call.objects.inner.config.region);
    Ok(response)
}

pub(super) async fn delete(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:DeleteBucket"), &bucket, Context::default())?;
    if bucket::is_house(&bucket.name) {
        return Err(Code::AccessDenied.says("The appliance needs this bucket."));
    }
    let deed = Deed::delete(call);
    let work = move |txn: &mut store::Txn<'_>| {
        let gone = txn.bucket_delete(bucket.id, now())?;
        if gone {
            deed.note(txn)?;
        }
        Ok::<_, S3Error>(gone)
    };
    let gone = call.objects.write(work).await?;
    if gone { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(Code::BucketNotEmpty.into()) }
}

pub(super) async fn location(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:GetBucketLocation"), &bucket, Context::default())?;
    let region = &call.objects.inner.config.region;
    // S3 names its first region by silence.
    let text = if region == "us-east-1" { "" } else { region };
    let mut body = Xml::document("LocationConstraint", |_| ());
    body = body.replace("\"></LocationConstraint>", &format!("\">{text}</LocationConstraint>"));
    Ok(xml(body))
}

pub(super) async fn get_versioning(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:GetBucketVersioning"), &bucket, Context::default())?;
    Ok(xml(Xml::document("VersioningConfiguration", |xml| match bucket.versioning {
        Versioning::Off => {}
        Versioning::On => xml.text("Status", "Enabled"),
        Versioning::Suspended => xml.text("Status", "Suspended"),
    })))
}

pub(super) async fn put_versioning(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:PutBucketVersioning"), &bucket, Context::default())?;
    let versioning = match document(call).await?.text_of("Status") {
        Some("Enabled") => Versioning::On,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(Code::IllegalVersioningConfigurationException.into()),
    };
    if bucket.settings.lock && versioning != Versioning::On {
        return Err(Code::InvalidBucketState
            .says("An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."));
    }
    change(call, "versioning", move |bucket| bucket.versioning = versioning).await?;
    Ok(empty(StatusCode::OK))
}

/// Changes a bucket as it is now: its setting `name`, as the query has it.
pub(super) async fn change(
    call: &Call,
    name: &str,
    change: impl FnOnce(&mut Bucket) + Send + 'static,
) -> Result<(), S3Error> {
    let (bucket, deed) = (call.bucket.clone(), Deed::set(call, name));
    let work = move |txn: &mut store::Txn<'_>| {
        let mut bucket = bucket::get(txn, &bucket)?;
        change(&mut bucket);
        bucket::save(txn, &bucket)?;
        deed.note(txn)
    };
    call.objects.write(work).await
}

pub(super) async fn get_policy(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:GetBucketPolicy"), &bucket, Context::default())?;
    let policy = bucket.settings.policy.clone().ok_or(Code::NoSuchBucketPolicy)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], policy).into_response())
}

pub(super) async fn put_policy(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:PutBucketPolicy"), &bucket, Context::default())?;
    let bytes = payload::document(call).await?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| Code::MalformedPolicy)?;
    if text.len() > POLICY_MAX {
        return Err(Code::MalformedPolicy.says("Policies have at most 20 KiB"));
    }
    let policy = Policy::parse_new(&text).map_err(|why| Code::MalformedPolicy.says(why))?;
    if !policy.is_about(&bucket.name) {
        return Err(Code::MalformedPolicy.says("Policy has invalid resource"));
    }
    if policy.is_public() && bucket.settings.public_block.is_some_and(|block| block.block_policy) {
        return Err(
            Code::AccessDenied.says("The bucket's public access block refuses public policies.")
        );
    }
    change(call, "policy", move |bucket| bucket.settings.policy = Some(text)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_policy(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner("s3:DeleteBucketPolicy"), &bucket, Context::default())?;
    change(call, "policy", |bucket| bucket.settings.policy = None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get_acl(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &GET_ACL, &bucket, Context::default())?;
    Ok(xml(acl::to_xml(&call.objects, &bucket.owner, bucket.settings.grants.as_deref()).await?))
}

pub(super) async fn put_acl(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &PUT_ACL, &bucket, Context::default())?;
    let grants = match acl::from_headers(call, &bucket.owner, &bucket).await? {
        Some(grants) => grants,
        None => {
            let root = document(call).await?;
            let (_, grants) = acl::from_xml(&call.objects, &root).await?;
            acl::permit(&bucket, Some(&grants))?;
            Some(grants)
        }
    };
    change(call, "acl", move |bucket| bucket.settings.grants = grants).await?;
    Ok(empty(StatusCode::OK))
}
