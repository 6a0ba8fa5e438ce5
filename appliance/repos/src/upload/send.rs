//! Chooses and sends the pack, whatever the version.

use super::{Session, request::Fetch};
use crate::{
    failure::Failure,
    pack::write::{Receiver, write_pack},
    pktline::{self, Band, DataBand},
    select::{
        Query, select,
        shallow::{Boundary, boundary},
    },
};
use gix_hash::ObjectId;
use std::io::{self, Write};

/// How the pack travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// Bare bytes, for very old clients.
    None,
    /// Packets of at most 1000 bytes on the data band.
    SmallBand,
    /// Packets of full size on the data band.
    LargeBand,
}

/// Where the client's history ends after this fetch.
pub(super) fn find_boundary(session: &Session, fetch: &Fetch) -> Result<Boundary, Failure> {
    Ok(boundary(&session.objects, &fetch.wants, &fetch.client_shallow, &fetch.depth)?)
}

/// The `shallow` and `unshallow` lines.
pub(super) fn write_boundary(boundary: &Boundary, to: &mut impl Write) -> io::Result<()> {
    for id in &boundary.shallow {
        pktline::write(to, format!("shallow {id}").as_bytes())?;
    }
    for id in &boundary.unshallow {
        pktline::write(to, format!("unshallow {id}").as_bytes())?;
    }
    Ok(())
}

/// Sends the pack; a failure on the way is told on the band for it.
pub(super) fn send_pack(
    session: &Session,
    fetch: &Fetch,
    common: Vec<ObjectId>,
    boundary: &Boundary,
    wrapping: Wrapping,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let result = try_send(session, fetch, common, boundary, wrapping, to);
    if let Err(failure) = &result
        && wrapping != Wrapping::None
    {
        pktline::band(to, Band::Fatal, format!("{}\n", failure.message()).as_bytes())?;
    }
    result
}

fn try_send(
    session: &Session,
    fetch: &Fetch,
    common: Vec<ObjectId>,
    boundary: &Boundary,
    wrapping: Wrapping,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let progress = wrapping != Wrapping::None && !fetch.no_progress;
    // Opened first: what upkeep replaces from now on stays readable.
    let packs = session.repository.packs()?;
    let chosen = select(&session.objects, &query(session, fetch, common, boundary))?;
    let total = chosen.objects.len();
    if progress {
        tell(to, &format!("Sending {total} objects\n"))?;
    }
    let receiver =
        Receiver { ofs_delta: fetch.ofs_delta, thin: fetch.thin.then_some(chosen.known) };
    let out = &mut *to;
    match wrapping {
        Wrapping::None => {
            write_pack(chosen.objects, &packs, &session.objects, &receiver, out, || Ok(()))?;
        }
        Wrapping::SmallBand => {
            let out = io::BufWriter::with_capacity(SMALL_BAND, DataBand(out));
            write_pack(chosen.objects, &packs, &session.objects, &receiver, out, || Ok(()))?;
        }
        Wrapping::LargeBand => {
            let out = io::BufWriter::with_capacity(pktline::BAND_MAX, DataBand(out));
            write_pack(chosen.objects, &packs, &session.objects, &receiver, out, || Ok(()))?;
        }
    }
    Ok(pktline_end(wrapping, to)?)
}

/// Payload of one packet on the small band: 1000 bytes with length and band.
const SMALL_BAND: usize = 995;

fn pktline_end(wrapping: Wrapping, to: &mut impl Write) -> io::Result<()> {
    if wrapping == Wrapping::None { Ok(()) } else { pktline::flush(to) }
}

fn tell(to: &mut impl Write, text: &str) -> io::Result<()> {
    pktline::band(to, Band::Progress, text.as_bytes())
}

fn query(session: &Session, fetch: &Fetch, common: Vec<ObjectId>, boundary: &Boundary) -> Query {
    let mut wants = fetch.wants.clone();
    wants.extend(&boundary.extra_wants);
    let mut grafts = fetch.client_shallow.clone();
    grafts.extend(&boundary.shallow);
    let tags = session.table.below("refs/tags/").filter(|_| fetch.include_tag);
    let tags = tags.filter_map(|(_, entry)| Some((entry.target, entry.peeled?))).collect();
    Query { wants, haves: common, grafts, filter: fetch.filter, tags }
}
