//! Object stores of others as the place for bytes: S3, Google Cloud Storage, Azure.
//!
//! The options are those of the `object_store` library, by their names (`aws_endpoint`,
//! `google_service_account`, `azure_storage_account_name`, …); requests go by [`Outward`].
//! A store that speaks Azure's protocol elsewhere is reached by `azure_storage_endpoint`, an address
//! that ends with the account's name.

use crate::{config::Place, error::Error, outward::Outward};
use object_store::{
    ObjectStore, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, prefix::PrefixStore,
};
use std::{path::Path, sync::Arc};

/// Sets every option by its name and opens the store.
macro_rules! open {
    ($builder:expr, $options:expr, $roots:expr) => {{
        let mut builder = $builder.with_http_connector(Outward::new($roots));
        for (name, value) in $options {
            builder = builder.with_config(name.to_ascii_lowercase().parse()?, value);
        }
        Arc::new(builder.build()?)
    }};
}

impl Place {
    /// The store at `s3://BUCKET[/PREFIX]`, `gs://…` or `az://…`; `roots` is a PEM file of the
    /// certificates that it is trusted by.
    ///
    /// # Errors
    /// [`Error::Bytes`] when the address or an option is not understood.
    pub fn remote(
        address: &str,
        options: &[(String, String)],
        roots: &Path,
    ) -> Result<Self, Error> {
        let opened = remote(address, options, roots);
        opened.map(Self::Remote).map_err(|source| Error::bytes("open", address, source))
    }
}

fn remote(
    address: &str,
    options: &[(String, String)],
    roots: &Path,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let store: Arc<dyn ObjectStore> = match scheme {
        "s3" => open!(AmazonS3Builder::new().with_bucket_name(name), options, roots),
        "gs" => open!(GoogleCloudStorageBuilder::new().with_bucket_name(name), options, roots),
        "az" => open!(MicrosoftAzureBuilder::new().with_container_name(name), options, roots),
        _ => {
            let source = "expected s3://BUCKET, gs://BUCKET or az://CONTAINER".into();
            return Err(object_store::Error::Generic { store: "remote", source });
        }
    };
    let prefix = prefix.trim_matches('/');
    Ok(if prefix.is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, options: &[(&str, &str)], good: bool) {
        let options: Vec<_> =
            options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let opened = Place::remote(address, &options, Path::new("/nowhere"));
        assert_eq!(opened.is_ok(), good, "{address}: {:?}", opened.err());
    }

    #[test]
    fn an_address_or_option_that_is_not_understood_is_refused() {
        let keys = [("aws_access_key_id", "a"), ("aws_secret_access_key", "b")];
        check("s3://b/p", &[&keys[..], &[("AWS_ENDPOINT", "http://h:1")]].concat(), true);
        check("s3://b", &[("aws_colour", "red")], false);
        check("az://c", &[("azure_storage_account_name", "a")], true);
        check("ftp://b", &[], false);
        check("b", &[], false);
    }
}
