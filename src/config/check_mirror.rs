//! `mirror = {...}` of a route.

use super::check_route::Names;
use super::checked_mirror::MirrorConfig;
use super::document::{Findings, Table};
use crate::ids::PoolId;

pub(super) fn mirror(
    route: &Table<'_>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Option<MirrorConfig> {
    let table = route.switch("mirror", findings)?;
    let mut pool = None;
    if table.required("pool", findings).is_some()
        && let Some(name) = table.text("pool", findings)
    {
        pool = names.pools.find(name, findings);
    }
    Some(MirrorConfig {
        pool: PoolId(pool.unwrap_or(0)),
        share: table.percent("share", findings),
        body: table.bounded("body", findings),
    })
}
