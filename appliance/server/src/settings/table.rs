//! The table of settings: each with its default, its range and what it does.
//!
//! Invariants: a default is a value that would be accepted; the order is that of the shipped file.

use super::Setting;

/// Everything that can be set, in the order of the file.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        default: "/var/lib/appliance",
        expected: "an absolute path",
        about: "Where everything is kept. Made at the first start, closed to other users (0700).",
    },
    Setting {
        key: "listen",
        default: "0.0.0.0:8443",
        expected: "ADDRESS:PORT; port 0 takes a free one",
        about: "Dashboard, API, Git and registry, over TLS.",
    },
    Setting {
        key: "s3_listen",
        default: "0.0.0.0:9000",
        expected: "ADDRESS:PORT, or `off`",
        about: "The S3 service, over TLS.",
    },
    Setting {
        key: "plain_listen",
        default: "off",
        expected: "a loopback ADDRESS:PORT, or `off`",
        about: "The same faces without TLS, on loopback alone: for a proxy on the same machine.",
    },
    Setting {
        key: "names",
        default: "",
        expected: "host names and addresses, separated by blanks",
        about: "What clients call this machine, besides its host name and addresses.\nThe server certificate is issued for all of them.",
    },
    Setting {
        key: "base_url",
        default: "",
        expected: "https://HOST[:PORT], or empty",
        about: "Address in links and remote messages. Empty: the first of `names`, or the address that is listened on, or the host name, and the port in use.",
    },
    Setting {
        key: "tls_certificate",
        default: "",
        expected: "path of a PEM chain (and `tls_key` with it), or empty",
        about: "Your own certificate instead of one from the built-in authority. Read anew every hour, and at once at `systemctl reload appliance` (SIGHUP).",
    },
    Setting {
        key: "tls_key",
        default: "",
        expected: "path of a PEM key, mode 0400 (and `tls_certificate` with it), or empty",
        about: "The key of `tls_certificate`.",
    },
    Setting {
        key: "drain_seconds",
        default: "20",
        expected: "a whole number, 0 to 600",
        about: "How long a stop waits for requests in flight.",
    },
    Setting {
        key: "slots",
        default: "0",
        expected: "a whole number, 0 to 256",
        about: "Jobs that the local runner runs side by side. 0: one and a half for each core, at least 2.",
    },
    Setting {
        key: "thermal_limit",
        default: "80",
        expected: "a whole number of degrees Celsius, 40 to 110",
        about: "No processor, board or disk may become hotter. Jobs are slowed down, held back and at last paused before that.",
    },
    Setting {
        key: "cpu_target",
        default: "70",
        expected: "a whole number of percent, 10 to 100",
        about: "How busy the processor may be on average before fewer jobs run side by side. 100: no target.",
    },
    Setting {
        key: "watts_max",
        default: "0",
        expected: "a whole number of watts, 0 to 100000",
        about: "Most power that the machine may draw, where a meter tells. 0: no bound.",
    },
    Setting {
        key: "hardware_root",
        default: "/",
        expected: "an absolute path",
        about: "Where sensors are read: `/`, or a tree captured from another machine.",
    },
    Setting {
        key: "keep_days",
        default: "90",
        expected: "a whole number, 1 to 3650",
        about: "Days that pipelines are kept with their logs and artifacts. The ten newest of each project stay.",
    },
    Setting {
        key: "keep_artifact_days",
        default: "0",
        expected: "a whole number, 0 to 3650",
        about: "Days that artifacts are kept when that is less than their pipeline. 0: as long as it.\n`appliance retention plan` shows what goes by now.",
    },
    Setting {
        key: "keep_workspace_days",
        default: "0",
        expected: "a whole number, 0 to 3650",
        about: "Days that workspaces are kept when that is less than their pipeline; jobs rerun from failed need them. 0: as long as it.",
    },
    Setting {
        key: "keep_log_days",
        default: "0",
        expected: "a whole number, 0 to 3650",
        about: "Days that the output of steps is kept when that is less than their pipeline. 0: as long as it.",
    },
    Setting {
        key: "objects_place",
        default: "folder",
        expected: "`folder`, or s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX], az://CONTAINER[/PREFIX]",
        about: "Where the bytes of large objects are kept: in the data directory, or in another object store, which one appliance alone may use.\nNames and small objects stay in the data directory. Let a rule of that store end unfinished uploads.",
    },
    Setting {
        key: "objects_options",
        default: "",
        expected: "path of a file (mode 0400) with lines NAME=VALUE, or empty",
        about: "How that store is reached: aws_endpoint, aws_access_key_id, aws_secret_access_key, aws_region, google_service_account, azure_storage_account_name, azure_storage_account_key and the other options of the `object_store` library.",
    },
    Setting {
        key: "objects_peer",
        default: "",
        expected: "an address https://HOST[:PORT] or http://HOST[:PORT], or empty",
        about: "Another S3 that holds the same buckets and keys: another appliance, or what `aws s3 sync` or `rclone sync` fills.\nStored bytes that are damaged are taken from there, when they are those that were stored.",
    },
    Setting {
        key: "objects_peer_options",
        default: "",
        expected: "path of a file (mode 0400) with lines NAME=VALUE, or empty",
        about: "How the peer is reached: aws_access_key_id and aws_secret_access_key of a key that may read there, aws_region and the other options of the `object_store` library.",
    },
    Setting {
        key: "objects_keep_free_mib",
        default: "256",
        expected: "a whole number, 0 to 1048576",
        about: "Mebibytes of the disk that objects leave free: beyond that mark writes are refused, reads and deletes go on.",
    },
    Setting {
        key: "webhook_allow",
        default: "",
        expected: "prefixes such as https://hooks.example/s3/, separated by blanks",
        about: "Buckets and webhooks of projects may tell what happens to addresses below these prefixes; empty: to none.",
    },
    Setting {
        key: "outward_roots",
        default: "/etc/ssl/certs/ca-certificates.crt",
        expected: "path of a PEM file",
        about: "Certificates of the authorities by which other machines are trusted: the object store of `objects_place`, the peer of `objects_peer`, addresses of `webhook_allow` and of `orb_addresses`.",
    },
    Setting {
        key: "machine_root",
        default: "/",
        expected: "an absolute path",
        about: "Root file system of `machine` jobs, under an overlay. `/` is this machine's own.\nOf that one jobs read what everybody may, and change none of its files, not even as root, because it hides what the host keeps from others: installing packages and `useradd` need a root file system made for jobs, named here or in `machine_images`.",
    },
    Setting {
        key: "git_pack_mib",
        default: "2048",
        expected: "a whole number, 1 to 1048576",
        about: "Mebibytes of one push.",
    },
    Setting {
        key: "git_pack_objects",
        default: "2000000",
        expected: "a whole number, 1 to 100000000",
        about: "Git objects in one push.",
    },
    Setting {
        key: "orb_addresses",
        default: "",
        expected: "prefixes such as https://git.example/orbs/, separated by blanks",
        about: "Configurations may name orbs by address below these prefixes; empty: none.\nSuch an orb is fetched when it is not in the store, and again after five minutes; while the address does not answer, the copy in the store serves. One that came with `appliance orb import FILE ADDRESS` is never fetched.",
    },
    Setting {
        key: "machine_images",
        default: "",
        expected: "names and absolute paths as ubuntu-2204:current=/srv/roots/jammy, separated by blanks; in this file also a table",
        about: "Root file systems of `machine` jobs that ask for an image by name, under an overlay.\nOther names run on `machine_root`, and the job's log says so.",
    },
    Setting {
        key: "job_disk_gib",
        default: "0",
        expected: "a whole number, 0 to 65536",
        about: "Gibibytes that one job may keep on disk; it is ended when it keeps more. 0: no bound.",
    },
    Setting {
        key: "job_network",
        default: "10.231.0.0/16",
        expected: "an IPv4 network as 10.231.0.0/16 (8 to 22 bits, and no others set), or `off`",
        about: "Addresses for the links of jobs. The first is this machine's, as jobs see it.",
    },
    Setting {
        key: "network_allow",
        default: "",
        expected: "networks as 10.20.0.0/16, 10.20.1.7 or 10.20.0.0/16:443, separated by blanks",
        about: "What jobs of projects with full network reach besides this appliance; empty: nothing.\nTurns on packet forwarding (net.ipv4.ip_forward), for jobs alone.",
    },
    Setting {
        key: "name_servers",
        default: "",
        expected: "IPv4 addresses that jobs can reach (their 127.0.0.1 is their own), separated by blanks",
        about: "Name servers for jobs of projects with full network. They are reached without being in `network_allow`.",
    },
    Setting {
        key: "ups",
        default: "off",
        expected: "[NAME@]HOST[:PORT] of a NUT daemon, or off",
        about: "The uninterruptible power supply of this machine.",
    },
    Setting {
        key: "hooks_dir",
        default: "/etc/appliance/hooks",
        expected: "an absolute path",
        about: "Firmware hooks: EVENT/NN-name. See firmware-hooks/README.md.",
    },
    Setting {
        key: "hooks_user",
        default: "nobody",
        expected: "a user of this machine",
        about: "As whom hooks run, unless NN-name.conf beside one names another.",
    },
    Setting {
        key: "watchdog",
        default: "off",
        expected: "a device such as /dev/watchdog, or off",
        about: "The hardware's watchdog: restarts a machine on which the appliance hangs.",
    },
    Setting {
        key: "log",
        default: "info",
        expected: "error, warn, info, debug, trace or off; or single rooms apart: info,web=debug",
        about: "How much is logged.",
    },
];
