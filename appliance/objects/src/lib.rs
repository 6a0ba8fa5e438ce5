//! Keeps bytes durably and serves them over the S3 protocol.
