//! What the pages of devices and sites show beyond their facts: graphs, and what hangs on what.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::store::filter::{Page, Selection};
use crate::store::{devices, sites};
use crate::web::answer::Trouble;
use crate::web::asked::Asked;
use crate::web::{layout, nouns};

/// The graphs of a device.
///
/// # Errors
/// The database's.
pub fn graphs(_asked: &Asked, _name: &str) -> Result<Markup, Trouble> {
    Ok(html! {})
}

/// The most devices of a site's tree.
const MOST: u32 = 2_000;

/// What hangs on what at a site.
///
/// # Errors
/// The database's.
pub fn tree(asked: &Asked, name: &str) -> Result<Markup, Trouble> {
    let all = asked.web.app.store.read(|tx| -> crate::store::Result<_> {
        let site = sites::get(tx, name)?;
        let query = format!("site:{}", super::things::quoted(&site.name));
        let wanted = Selection::parse(&query, devices::QUERY, &[], tx.now, &TimeZone::UTC);
        let wanted = wanted.map_err(|e| crate::store::Error::Usage(e.to_string()))?;
        devices::list(tx, &wanted, &Page { limit: Some(MOST), ..Page::default() })
    })?;
    if all.is_empty() {
        return Ok(html! {});
    }
    let here = |name: &String| all.iter().any(|device| device.name == *name);
    let roots: Vec<&devices::Device> =
        all.iter().filter(|device| !device.parents.iter().any(here)).collect();
    Ok(html! {
        section aria-labelledby="h-tree" data-live="tree" {
            h2 #h-tree { "What hangs on what" }
            ul.tree { @for device in roots { (branch(device, &all, 0)) } }
        }
    })
}

fn branch(device: &devices::Device, all: &[devices::Device], depth: usize) -> Markup {
    let behind: Vec<&devices::Device> =
        all.iter().filter(|other| other.parents.contains(&device.name)).collect();
    html! {
        li {
            a href=(nouns::link("devices", &device.name)) { (device.name) } " " (layout::state(device.state.as_str()))
            @if !behind.is_empty() && depth < 20 { ul { @for one in behind { (branch(one, all, depth + 1)) } } }
        }
    }
}
