//! Passes: the end of an address that bears its own proof, for what is fetched without cookie or token.
//!
//! Invariants: a pass is of one kind and opens one task until its end, for whoever made it with a session
//! or token; that this still stands is for who takes the pass to look up. None outlives the program.

use base::{ids::TaskId, time::Timestamp};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    fmt::{self, Display},
    str::FromStr,
    time::Duration,
};

/// For how long a pass opens its task: long enough to read a report.
pub(crate) const LIFE: Duration = Duration::from_secs(3600);

/// Signs passes; a new one at every start.
#[derive(Clone)]
pub(crate) struct PassKey([u8; 32]);

impl fmt::Debug for PassKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassKey")
    }
}

impl PassKey {
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
        Self(bytes)
    }

    fn mac(&self, kind: &str, said: &str, task: TaskId) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(format!("{kind}.{said}.{task}").as_bytes());
        mac
    }

    /// A pass of that kind for the session or token `holder`, from `now` on.
    pub(crate) fn pass(
        &self,
        kind: &str,
        holder: impl Display,
        task: TaskId,
        now: Timestamp,
    ) -> String {
        let said = format!("{holder}.{}", now.plus(LIFE).0);
        let sign = self.mac(kind, &said, task).finalize().into_bytes();
        format!("{said}.{}", BASE64.encode(sign))
    }

    /// Whose pass it is, if this key made it for that kind and task and it is not over.
    pub(crate) fn holder<T: FromStr>(
        &self,
        kind: &str,
        pass: &str,
        task: TaskId,
        now: Timestamp,
    ) -> Option<T> {
        let (said, sign) = pass.rsplit_once('.')?;
        let (holder, until) = said.split_once('.')?;
        let until: i64 = until.parse().ok()?;
        let sign = BASE64.decode(sign).ok()?;
        let is_ours = self.mac(kind, said, task).verify_slice(&sign).is_ok();
        (is_ours && now.0 < until).then(|| holder.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ids::SessionId;
    use uuid::Uuid;

    #[test]
    fn a_pass_opens_its_task_in_its_time_and_nothing_else() {
        let (key, other) = (PassKey([1; 32]), PassKey([2; 32]));
        let session = SessionId(Uuid::from_u128(1));
        let (task, foreign) = (TaskId(Uuid::from_u128(2)), TaskId(Uuid::from_u128(3)));
        let (begun, end) = (Timestamp(100), Timestamp(100).plus(LIFE));
        let pass = key.pass("report", session, task, begun);
        let check = |key: &PassKey, kind, pass: &str, task, now, expected| {
            assert_eq!(key.holder(kind, pass, task, now), expected, "{kind} {pass} {task} {now}");
        };
        check(&key, "report", &pass, task, Timestamp(end.0 - 1), Some(session));
        check(&key, "report", &pass, task, end, None);
        check(&key, "report", &pass, foreign, begun, None);
        check(&key, "output", &pass, task, begun, None);
        check(&other, "report", &pass, task, begun, None);
        let longer = pass.replace(&format!(".{}.", end.0), &format!(".{}.", end.0 + 1));
        for bad in ["", ".", "..", &longer, &pass[1..]] {
            check(&key, "report", bad, task, begun, None);
        }
    }
}
