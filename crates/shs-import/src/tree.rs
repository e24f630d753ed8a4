//! Conversations that are trees: where an answer was made anew or a question changed, a message has several that follow it.

use std::collections::{HashMap, HashSet};

use crate::conversation::{Conversation, Said};
use crate::read::{Emit, Stop};

/// Most branches of one conversation that are read.
const MAX_BRANCHES: usize = 1_000;

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
    /// nothing.
    pub(crate) fn tell(
        &self,
        mut trunk: Conversation,
        current: Option<&str>,
        said: &HashMap<&str, Said>,
        emit: &mut Emit<'_>,
    ) -> Result<(), Stop> {
        let way = |leaf| -> Vec<&str> {
            self.path(leaf).into_iter().filter(|id| said.contains_key(id)).collect()
        };
        let mut leaves = self.leaves();
        leaves.sort_by_key(|leaf| said.get(leaf).and_then(|said| said.at));
        let current = current.and_then(|id| self.parents.get_key_value(id)).map(|(id, _)| *id);
        let Some(current) = current.or_else(|| leaves.last().copied()) else { return emit(trunk) };
        let shown = way(current);
        for id in &shown {
            trunk.say(said[id].clone());
        }
        emit(trunk.clone())?;
        let others: Vec<&str> = leaves.into_iter().filter(|leaf| *leaf != current).collect();
        for leaf in others.iter().take(MAX_BRANCHES) {
            let path = way(leaf);
            let shared = shown.iter().zip(&path).take_while(|(one, other)| one == other).count();
            if shared < path.len() {
                let own = path[shared..].iter().map(|id| said[id].clone()).collect();
                emit(trunk.branch(leaf, shared, own))?;
            }
        }
        match others.len().saturating_sub(MAX_BRANCHES) {
            0 => Ok(()),
            more => {
                let what =
                    format!("{more} branches are not imported: {MAX_BRANCHES} are the limit");
                Err(Stop::Failed(what))
            }
        }
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
