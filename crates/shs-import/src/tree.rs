//! Conversations that are trees: where an answer was made anew or a question changed, a message has several that follow it.

use std::collections::{HashMap, HashSet};

use crate::Limits;
use crate::conversation::{Conversation, Said};
use crate::limits::{MAX_BRANCH_BYTES, MAX_BRANCHES};
use crate::read::{Emit, Stop};

/// What the branches of one conversation may hold yet: each repeats what stands before it.
#[derive(Debug)]
pub(crate) struct Branches {
    limits: Limits,
    count: usize,
    messages: usize,
    bytes: usize,
}

impl Branches {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, count: 0, messages: 0, bytes: 0 }
    }

    /// Takes one more, of so many messages and bytes; whether there is place for it.
    pub(crate) fn take(&mut self, messages: usize, bytes: usize) -> bool {
        self.count += 1;
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
        self.count <= MAX_BRANCHES
            && self.messages <= self.limits.branch_messages
            && self.bytes <= MAX_BRANCH_BYTES
    }

    /// Why so many are not imported.
    pub(crate) fn too_many(&self, left_out: usize) -> String {
        let what = format!("{left_out} branches are not imported");
        if self.count > MAX_BRANCHES {
            format!("{what}: {MAX_BRANCHES} are the limit")
        } else if self.messages > self.limits.branch_messages {
            let limit = self.limits.branch_messages;
            format!(
                "{what}: with them, branches would hold more than {limit} messages, which is the limit; raise it \
                 with --max-branch-messages (Limits::with_branch_messages)"
            )
        } else {
            let limit = MAX_BRANCH_BYTES / (1024 * 1024);
            format!(
                "{what}: with them, branches would hold more than {limit} MiB, which is the limit"
            )
        }
    }
}

/// Messages, and those before them.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    parents: HashMap<&'a str, Option<&'a str>>,
    order: Vec<&'a str>,
}

impl<'a> Tree<'a> {
    /// A tree of ids and the ids before them, in the source's order. An id before that is not in the tree is none; where ids
    /// follow each other in a circle, it begins with the first of them that is found.
    pub(crate) fn new(nodes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut tree = Self { parents: HashMap::new(), order: Vec::new() };
        for (id, parent) in nodes {
            if tree.parents.insert(id, parent).is_none() {
                tree.order.push(id);
            }
        }
        tree.open_circles();
        tree
    }

    /// Without this, nothing would lead to what is in a circle, and it would be lost.
    fn open_circles(&mut self) {
        let mut reached = HashSet::new();
        for id in &self.order {
            let mut way = HashSet::new();
            let mut next = Some(*id);
            while let Some(id) = next.filter(|id| !reached.contains(id)) {
                let Some(parent) = self.parents.get_mut(id) else { break };
                if !way.insert(id) {
                    *parent = None;
                    break;
                }
                next = *parent;
            }
            reached.extend(way);
        }
    }

    /// The conversation along one way through the tree, and then the other ways as branches of it.
    ///
    /// The way is the one to `current`, or else to the newest leaf. Ids without a message hold the tree together and say
    /// nothing. One conversation at a time is put together.
    pub(crate) fn tell(
        &self,
        trunk: Conversation,
        current: Option<&str>,
        mut said: HashMap<&'a str, Said>,
        limits: &Limits,
        emit: &mut Emit<'_>,
    ) -> Result<(), Stop> {
        let mut leaves = self.leaves();
        leaves.sort_by_key(|leaf| said.get(leaf).and_then(|said| said.at));
        let current = current.and_then(|id| self.parents.get_key_value(id)).map(|(id, _)| *id);
        let Some(current) = current.or_else(|| leaves.last().copied()) else { return emit(trunk) };
        let others: Vec<&str> = leaves.into_iter().filter(|leaf| *leaf != current).collect();
        let shown = self.way(current, &said);
        let mut shown_trunk = trunk.clone();
        if others.is_empty() {
            shown.iter().filter_map(|id| said.remove(id)).for_each(|said| shown_trunk.say(said));
            return emit(shown_trunk);
        }
        shown.iter().for_each(|id| shown_trunk.say(said[id].clone()));
        emit(shown_trunk)?;
        let sizes = self.sizes(&said);
        let head = trunk.head_bytes();
        let mut branches = Branches::new(limits);
        for (number, leaf) in others.iter().enumerate() {
            let (messages, bytes) = sizes[leaf];
            if !branches.take(messages, head + bytes) {
                return Err(Stop::Failed(branches.too_many(others.len() - number)));
            }
            let path = self.way(leaf, &said);
            let shared = shown.iter().zip(&path).take_while(|(one, other)| one == other).count();
            if shared < path.len() {
                let mut branch = trunk.branch(leaf, shared, Vec::new());
                path.iter().for_each(|id| branch.say(said[id].clone()));
                emit(branch)?;
            }
        }
        Ok(())
    }

    /// The ids with a message from the beginning to an id.
    fn way(&self, leaf: &'a str, said: &HashMap<&str, Said>) -> Vec<&'a str> {
        self.path(leaf).into_iter().filter(|id| said.contains_key(id)).collect()
    }

    /// How many messages there are from the beginning to each id, and how many bytes they have.
    fn sizes(&self, said: &HashMap<&str, Said>) -> HashMap<&'a str, (usize, usize)> {
        let mut sizes: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut way = Vec::new();
        for id in &self.order {
            let mut next = Some(*id);
            let mut before = (0, 0);
            while let Some((id, parent)) = next.and_then(|id| self.parents.get_key_value(id)) {
                if let Some(known) = sizes.get(id) {
                    before = *known;
                    break;
                }
                way.push(*id);
                next = *parent;
            }
            while let Some(id) = way.pop() {
                if let Some(said) = said.get(id) {
                    before = (before.0 + 1, before.1.saturating_add(said.bytes()));
                }
                sizes.insert(id, before);
            }
        }
        sizes
    }

    /// The ids that nothing follows, in the source's order.
    fn leaves(&self) -> Vec<&'a str> {
        let followed: HashSet<&str> = self.parents.values().flatten().copied().collect();
        self.order.iter().filter(|id| !followed.contains(*id)).copied().collect()
    }

    /// The way from the beginning to an id.
    fn path(&self, leaf: &'a str) -> Vec<&'a str> {
        let mut path = Vec::new();
        let mut next = Some(leaf);
        while let Some((id, parent)) = next.and_then(|id| self.parents.get_key_value(id)) {
            path.push(*id);
            next = *parent;
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_branch_and_circles_are_opened() {
        let tree = Tree::new([("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("b"))]);
        assert_eq!(tree.leaves(), ["c", "d"]);
        assert_eq!(tree.path("d"), ["a", "b", "d"]);

        let tree = Tree::new([("a", Some("b")), ("b", Some("a")), ("c", Some("gone"))]);
        assert_eq!(tree.leaves(), ["b", "c"]);
        assert_eq!(tree.path("b"), ["a", "b"]);
        assert_eq!(tree.path("c"), ["c"]);
    }
}
