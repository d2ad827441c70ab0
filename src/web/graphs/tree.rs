//! What hangs on what at a site: a nested list, which is its own table for whoever cannot see it.

use std::collections::{HashMap, HashSet};

use maud::{Markup, html};

use crate::domain::device::State;
use crate::domain::ids::DeviceId;
use crate::web::layout;

/// A device in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub state: State,
    /// Whether a person has it not watched.
    pub is_paused: bool,
    /// Its site, where it is another one, or `no site`.
    pub elsewhere: Option<String>,
    /// What it hangs on, as far as that stands in the tree.
    pub parents: Vec<DeviceId>,
}

/// The most devices that are shown.
const MOST: usize = 2_000;
/// How deep the list goes; what hangs deeper stands at that depth.
const DEEPEST: usize = 24;

/// Shows it. Those that hang on nothing stand outermost; one that hangs on several stands below the first of them, and
/// says what else it hangs on.
#[must_use]
pub fn draw(nodes: &[Node]) -> Markup {
    if nodes.is_empty() {
        return html! { p.quiet { "No devices are here yet." } };
    }
    let shown = &nodes[..nodes.len().min(MOST)];
    let names: HashMap<DeviceId, &str> = shown.iter().map(|node| (node.id, node.name.as_str())).collect();
    let mut behind: HashMap<DeviceId, Vec<&Node>> = HashMap::new();
    let mut roots = Vec::new();
    for node in shown {
        match node.parents.iter().find(|parent| names.contains_key(parent)) {
            Some(first) => behind.entry(*first).or_default().push(node),
            None => roots.push(node),
        }
    }
    let mut tree = Tree { names, behind, done: HashSet::new() };
    let mut listed = vec![tree.list(&roots, 0)];
    // A ring is refused where it would be closed; should one be there, it hangs on nothing that was shown.
    for node in shown {
        if !tree.done.contains(&node.id) {
            listed.push(tree.list(&[node], 0));
        }
    }
    html! {
        @for list in listed { (list) }
        @if nodes.len() > shown.len() {
            p.quiet { "The first " (shown.len()) " of " (nodes.len()) " devices are shown." }
        }
    }
}

struct Tree<'n> {
    names: HashMap<DeviceId, &'n str>,
    behind: HashMap<DeviceId, Vec<&'n Node>>,
    done: HashSet<DeviceId>,
}

impl<'n> Tree<'n> {
    fn list(&mut self, nodes: &[&'n Node], depth: usize) -> Markup {
        let items: Vec<Markup> = if depth < DEEPEST {
            nodes.iter().map(|node| self.item(node, depth)).collect()
        } else {
            self.all_behind(nodes).into_iter().map(|node| self.line(node, &[], None)).collect()
        };
        html! {
            @if !items.is_empty() { ul.tree[depth == 0] { @for item in items { (item) } } }
        }
    }

    fn item(&mut self, node: &'n Node, depth: usize) -> Markup {
        if !self.done.insert(node.id) {
            return html! {};
        }
        let behind = self.behind.remove(&node.id).unwrap_or_default();
        let inner = (!behind.is_empty()).then(|| self.list(&behind, depth + 1));
        self.line(node, &behind, inner)
    }

    /// These and all behind them, one after the other.
    fn all_behind(&mut self, nodes: &[&'n Node]) -> Vec<&'n Node> {
        let mut to_come: Vec<&Node> = nodes.iter().rev().copied().collect();
        let mut all = Vec::new();
        while let Some(node) = to_come.pop() {
            if self.done.insert(node.id) {
                all.push(node);
                to_come.extend(self.behind.remove(&node.id).unwrap_or_default().into_iter().rev());
            }
        }
        all
    }

    fn line(&self, node: &Node, behind: &[&Node], inner: Option<Markup>) -> Markup {
        let out = count_out(behind);
        let also: Vec<&str> =
            node.parents.iter().skip(1).filter_map(|id| self.names.get(id).copied()).collect();
        html! {
            li {
                (layout::state(node.state.as_str())) " "
                a href=(link(&node.name)) { (node.name) }
                @if node.is_paused { " " (layout::state("paused")) }
                @if let Some(site) = &node.elsewhere { " " small { "(" (site) ")" } }
                @if !also.is_empty() { " " small { "also on " (also.join(", ")) } }
                @if behind.len() > 1 { " " small { (behind.len()) " behind it" @if out > 0 { ", " (out) " of them out" } } }
                @if let Some(inner) = inner { (inner) }
            }
        }
    }
}

fn count_out(nodes: &[&Node]) -> usize {
    nodes.iter().filter(|node| node.state.is_out()).count()
}

/// Where the page of a device is.
#[must_use]
pub fn link(name: &str) -> String {
    let mut path = "/devices/".to_owned();
    for &byte in name.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: i64, name: &str, state: State, parents: &[i64]) -> Node {
        Node {
            id: DeviceId(id),
            name: name.to_owned(),
            state,
            is_paused: false,
            elsewhere: None,
            parents: parents.iter().copied().map(DeviceId).collect(),
        }
    }

    #[test]
    fn each_device_stands_once_below_what_it_hangs_on() {
        let mut core = node(9, "core", State::Up, &[]);
        core.elsewhere = Some("Berlin".to_owned());
        let nodes = [
            node(1, "router", State::Up, &[9]),
            node(2, "switch a", State::Down, &[1]),
            node(3, "ap", State::Unreachable, &[2, 1]),
            node(4, "printer", State::Up, &[1]),
            core,
        ];
        let text = draw(&nodes).into_string();
        let flat = text.replace("<span aria-hidden=\"true\">", "").replace("</span>", "");
        assert_eq!(text.matches("<li>").count(), 5, "{text}");
        assert_eq!(text.matches("<ul").count(), 4, "{text}");
        assert!(text.contains("href=\"/devices/switch%20a\""), "{text}");
        assert!(flat.contains("also on router"), "{text}");
        assert!(text.contains("2 behind it, 1 of them out"), "{text}");
        assert!(text.contains("<small>(Berlin)</small>"), "{text}");
        let order = ["core", "router", "switch a", ">ap<", "printer"].map(|name| text.find(name).unwrap());
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_chain_or_a_ring_of_thousands_ends() {
        let chain: Vec<Node> = (0..5_000).map(|n| node(n, &format!("d{n}"), State::Up, &[n - 1])).collect();
        let text = draw(&chain).into_string();
        assert_eq!(text.matches("<li>").count(), MOST);
        assert!(text.contains("The first 2000 of 5000 devices are shown."));
        let ring =
            [node(1, "a", State::Up, &[2]), node(2, "b", State::Up, &[1]), node(3, "c", State::Up, &[])];
        assert_eq!(draw(&ring).into_string().matches("<li>").count(), 3);
        assert!(draw(&[]).into_string().contains("No devices are here yet."));
    }

    #[test]
    fn a_name_is_a_word_of_a_path_whatever_is_in_it() {
        for (name, wanted) in
            [("ap-1", "/devices/ap-1"), ("a/b #1", "/devices/a%2Fb%20%231"), ("Küche", "/devices/K%C3%BCche")]
        {
            assert_eq!(link(name), wanted);
        }
    }
}
