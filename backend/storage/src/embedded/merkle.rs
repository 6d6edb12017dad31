//! redb's tree of checksums: the part of its file format (version 3) that checking a page needs.
//!
//! Every pointer to a page in a redb file stands beside the checksum of that page: in a commit slot of the header (the roots
//! of the two trees of tables), in a branch page (its children), in the definition of a table (its root). redb itself looks
//! at them only when it repairs a file. This module reads the pointers, so that [`Pages`](super::pages::Pages) can check each page
//! when it comes from the file. The format is described in `docs/design.md` of redb.
//!
//! ```text
//! header, 320 bytes at 0:  magic (9), god byte, .., page size (u32 at 12), header pages and data pages of a region (u32, u32)
//!   slot, 128 bytes at 64 and 192:  version, has user root, has system root, ..; roots at 8 and 40; transaction (u64 at 104);
//!                                   xxh3-128 of all before (at 112)
//!   root, 32 bytes:                 page number (u64), xxh3-128 of the page's used part, length (u64)
//! branch page:  2, _, keys (u16), _ (4), checksums of keys + 1 children (16 each), their page numbers (8 each), keys
//! leaf page:    1, _, pairs (u16), ends of the keys and of the values (u32 each, unless of fixed size), keys, values
//! page number:  bits 0-19 index, 20-39 region, 59-63 order; a page of order n has 4096 << n bytes
//! ```
//! Nothing here trusts a byte: whatever does not fit is `None`.

use xxhash_rust::xxh3::xxh3_128;

/// The size of a page of order 0, and of the part of the file before all pages.
pub(super) const PAGE: u64 = 4096;
/// The bytes of the header.
pub(super) const HEADER: usize = 320;
pub(super) const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// The order of the largest page: a record of 256 MiB has one of order 17. A larger one is a trap.
const LARGEST: u64 = 18;

const GOD_BYTE: usize = 9;
const PRIMARY: u8 = 1;
const TWO_PHASE: u8 = 4;
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
const SLOT_SUM: usize = SLOT_BYTES - 16;
const VERSION: u8 = 3;

/// The header of a file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    bytes: [u8; HEADER],
    region_bytes: u64,
    region_header_bytes: u64,
}

/// A commit: the roots of the user's tables and of redb's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) transaction: u64,
    pub(super) user: Option<Pointer>,
    pub(super) system: Option<Pointer>,
}

/// A pointer to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    page: u64,
    /// The low half of the checksum of the page's used part: enough against accidents, and half of the memory.
    pub(super) sum: u64,
}

/// The content of the pages of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    key_bytes: Option<u32>,
    value_bytes: Option<u32>,
    holds_tables: bool,
}

impl Tree {
    /// A tree of tables: its values are their definitions.
    pub(super) const TABLES: Self = Self { key_bytes: None, value_bytes: None, holds_tables: true };
}

/// A table as it is defined in a page of a tree of tables.
pub(super) struct Definition {
    tree: Tree,
    root: Option<Pointer>,
    is_multimap: bool,
}

/// Whether a file begins as one of redb's.
pub(super) fn is_redb(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

impl Header {
    /// Reads a header, if it is one that this module knows.
    pub(super) fn read(bytes: [u8; HEADER]) -> Option<Self> {
        let page = u64::from(u32_at(&bytes, 12)?);
        let (header_pages, data_pages) = (u64::from(u32_at(&bytes, 16)?), u64::from(u32_at(&bytes, 20)?));
        let known = is_redb(&bytes) && page == PAGE && header_pages <= 1 << 20 && data_pages <= 1 << 20;
        known.then_some(Self {
            bytes,
            region_bytes: (header_pages + data_pages) * PAGE,
            region_header_bytes: header_pages * PAGE,
        })
    }

    /// Whether the last commit was durable before it became the last one: then no other is to be considered.
    pub(super) fn is_two_phase(&self) -> bool {
        self.bytes[GOD_BYTE] & TWO_PHASE != 0
    }

    fn primary(&self) -> usize {
        usize::from(self.bytes[GOD_BYTE] & PRIMARY)
    }

    /// The commits whose own checksum holds, in the order in which redb considers them, with the numbers of their slots.
    pub(super) fn commits(&self) -> Vec<(usize, Slot)> {
        let primary = self.primary();
        let mut found: Vec<_> = [primary, 1 - primary]
            .into_iter()
            .filter_map(|number| Some((number, self.slot(number)?)))
            .collect();
        // Stable: of two that are equally recent, the primary one.
        found.sort_by_key(|(_, slot)| std::cmp::Reverse(slot.transaction));
        if self.is_two_phase() {
            found.retain(|(number, _)| *number == primary);
        }
        found
    }

    fn slot(&self, number: usize) -> Option<Slot> {
        let slot = self.bytes.get(SLOTS[number]..)?.get(..SLOT_BYTES)?;
        let sum = u128::from_le_bytes(*slot.get(SLOT_SUM..)?.first_chunk()?);
        if slot[0] != VERSION || sum != xxh3_128(&slot[..SLOT_SUM]) {
            return None;
        }
        let root = |there: u8, at: usize| if there == 0 { None } else { pointer(slot, at) };
        Some(Slot { transaction: u64_at(slot, 104)?, user: root(slot[1], 8), system: root(slot[2], 40) })
    }

    /// The bytes of the header that make redb take the commit in this slot, and no other.
    pub(super) fn taking(&self, number: usize) -> [u8; HEADER] {
        let mut bytes = self.bytes;
        bytes[GOD_BYTE] = bytes[GOD_BYTE] & !PRIMARY | (number as u8 & PRIMARY);
        // redb keeps a slot as it is whose checksum does not hold.
        bytes[SLOTS[1 - number] + SLOT_SUM] ^= 0xff;
        bytes
    }

    /// Where a page stands in the file, and its length.
    pub(super) fn place(&self, pointer: Pointer) -> Option<(u64, u64)> {
        let order = pointer.page >> 59;
        if order > LARGEST {
            return None;
        }
        let index = pointer.page & (0xf_ffff >> order);
        let region = (pointer.page >> 20) & 0xf_ffff;
        let length = PAGE << order;
        let within = self.region_header_bytes.checked_add(index.checked_mul(length)?)?;
        let start = region.checked_mul(self.region_bytes)?.checked_add(within)?.checked_add(PAGE)?;
        Some((start, length))
    }
}

/// The low half of the checksum of a page of `tree`, if it can be one.
pub(super) fn sum_of(page: &[u8], tree: Tree) -> Option<u64> {
    let used = page.get(..used(page, tree)?)?;
    Some(low(xxh3_128(used)))
}

/// Whether a page of `tree` has pointers to others.
pub(super) fn has_pointers(page: &[u8], tree: Tree) -> bool {
    page.first() == Some(&BRANCH) || tree.holds_tables
}

/// Visits the pointers in a sound page of `tree`.
pub(super) fn pointers(page: &[u8], tree: Tree, mut visit: impl FnMut(Pointer, Tree)) {
    match page.first() {
        Some(&BRANCH) => {
            let children = count(page).map_or(0, |keys| keys + 1);
            for number in 0..children {
                let (sum, at) = (8 + 16 * number, 8 + 16 * children + 8 * number);
                if let (Some(page), Some(sum)) = (u64_at(page, at), u64_at(page, sum)) {
                    visit(Pointer { page, sum }, tree);
                }
            }
        }
        Some(&LEAF) if tree.holds_tables => {
            for (_, definition) in definitions(page) {
                // The pages of a multimap have subtrees. There is none in a store.
                if let (Some(root), false) = (definition.root, definition.is_multimap) {
                    visit(root, definition.tree);
                }
            }
        }
        _ => {}
    }
}

/// The tables that a sound leaf of a tree of tables defines, by name.
pub(super) fn definitions(page: &[u8]) -> impl Iterator<Item = (&[u8], Definition)> {
    let pairs = if page.first() == Some(&LEAF) { count(page).unwrap_or(0) } else { 0 };
    let mut from = (4 + 8 * pairs, end(page, 4, pairs.wrapping_sub(1)).unwrap_or(0));
    (0..pairs).map_while(move |number| {
        let to = (end(page, 4, number)?, end(page, 4 + 4 * pairs, number)?);
        let (key, value) = (page.get(from.0..to.0)?, page.get(from.1..to.1)?);
        from = to;
        Some((key, definition(value)?))
    })
}

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// How much of a page its checksum is of.
fn used(page: &[u8], tree: Tree) -> Option<usize> {
    let count = count(page)?;
    let last = count.checked_sub(1)?;
    match *page.first()? {
        LEAF => {
            let (keys, values) = (tree.key_bytes, tree.value_bytes);
            let ends_of_keys = if keys.is_none() { 4 * count } else { 0 };
            let ends_of_values = if values.is_none() { 4 * count } else { 0 };
            let end_of_keys = match keys {
                Some(fixed) => {
                    (4 + ends_of_keys + ends_of_values).saturating_add((fixed as usize).saturating_mul(count))
                }
                None => end(page, 4, last)?,
            };
            match values {
                Some(fixed) => Some(end_of_keys.saturating_add((fixed as usize).saturating_mul(count))),
                None => end(page, 4 + ends_of_keys, last),
            }
        }
        BRANCH => {
            let after_children = 8 + 24 * (count + 1);
            match tree.key_bytes {
                Some(fixed) => Some(after_children.saturating_add((fixed as usize).saturating_mul(count))),
                None => end(page, after_children, last),
            }
        }
        _ => None,
    }
}

fn definition(bytes: &[u8]) -> Option<Definition> {
    let is_multimap = match *bytes.first()? {
        3 => false,
        4 => true,
        _ => return None,
    };
    let root = if *bytes.get(9)? == 0 { None } else { Some(pointer(bytes, 10)?) };
    let fixed = |at: usize| match bytes.get(at)? {
        0 => Some(None),
        _ => u32_at(bytes, at + 1).map(Some),
    };
    let tree = Tree { key_bytes: fixed(42)?, value_bytes: fixed(47)?, holds_tables: false };
    Some(Definition { tree, root, is_multimap })
}

fn pointer(bytes: &[u8], at: usize) -> Option<Pointer> {
    Some(Pointer { page: u64_at(bytes, at)?, sum: u64_at(bytes, at + 8)? })
}

/// The number of keys or pairs.
fn count(page: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*page.get(2..)?.first_chunk()?)))
}

/// One of a row of ends that starts at `row`.
fn end(page: &[u8], row: usize, number: usize) -> Option<usize> {
    u32_at(page, row.checked_add(number.checked_mul(4)?)?).map(|end| end as usize)
}

fn low(sum: u128) -> u64 {
    sum as u64
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
