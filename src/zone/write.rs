//! A zone as a zone file that everyone reads: SOA first, one record a line, nothing relative.

use std::fmt;

use super::text::rdata_text;
use super::{Owner, Rrset, Zone};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Writes a zone in the format of RFC 1035 5. Reading it gives the same zone.
///
/// # Errors
/// Those of `out`.
pub fn write(zone: &Zone, out: &mut dyn fmt::Write) -> fmt::Result {
    let apex = zone.owner(zone.apex().to_lower().as_wire());
    if let Some((owner, soa)) = apex.and_then(|owner| Some((owner, owner.rrset(Rtype::SOA)?))) {
        rrset(owner, soa, out)?;
    }
    for owner in zone.owners() {
        // SOA is the apex's alone, and there already.
        for other in owner.rrsets().filter(|rrset| rrset.rtype() != Rtype::SOA) {
            rrset(owner, other, out)?;
        }
    }
    Ok(())
}

fn rrset(owner: Owner<'_>, rrset: Rrset<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let name = Name::from_wire(owner.name()).map_err(|_| fmt::Error)?;
    let (ttl, rtype) = (rrset.ttl(), rrset.rtype());
    for rdata in rrset.rdata() {
        writeln!(out, "{name} {ttl} IN {rtype} {}", rdata_text(rtype, rdata))?;
    }
    Ok(())
}
