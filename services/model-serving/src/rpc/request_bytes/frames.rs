//! The five-byte headers between the messages of a gRPC body: one flag, then the length as big-endian u32.

/// The bytes of a header.
const HEADER: usize = 5;

/// Finds headers in a body that comes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: Vec<u8>,
    /// What is still to come of the message whose header was seen last.
    rest: usize,
}

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    /// True if the message is compressed.
    pub compressed: bool,
    /// The length as sent.
    pub bytes: usize,
}

impl Frames {
    /// True if a message, or its header, has begun and is not complete.
    pub(super) fn is_within_message(&self) -> bool {
        self.rest > 0 || !self.header.is_empty()
    }

    /// Passes over a piece of the body; answers the headers that end in it, in order.
    pub(super) fn scan(&mut self, mut piece: &[u8]) -> Vec<Announced> {
        let mut announced = Vec::new();
        while !piece.is_empty() {
            let skipped = self.rest.min(piece.len());
            self.rest -= skipped;
            piece = piece.get(skipped..).unwrap_or_default();
            let wanted = HEADER.saturating_sub(self.header.len()).min(piece.len());
            let (header, after) = piece.split_at_checked(wanted).unwrap_or((piece, &[]));
            self.header.extend_from_slice(header);
            piece = after;
            if let [flag, length @ ..] = self.header.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                announced.push(Announced { compressed: *flag != 0, bytes });
                self.rest = bytes;
                self.header.clear();
            }
        }
        announced
    }
}
