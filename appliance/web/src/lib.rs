//! The faces over HTTP: REST API, Git, runner API, dashboard.
