//! Accepts connections: TLS, certificates, protocols, limits.
