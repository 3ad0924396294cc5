//! What a file of a log holds, at the places where it was written: also where it was compressed since.
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;

/// The bytes of a file. Places are those of the plain text.
#[derive(Debug)]
pub(super) enum Contents {
    Plain(File),
    /// Boxed, because a decoder is some kilobytes and few files have one.
    Gzip(RefCell<Box<Gzip>>),
}

/// A compressed file, decompressed up to a place.
#[derive(Debug)]
pub(super) struct Gzip {
    /// None after a failed rewind.
    decoder: Option<MultiGzDecoder<BufReader<File>>>,
    at: u64,
    /// Why it cannot be read from there on.
    damage: Option<io::ErrorKind>,
}

impl Contents {
    pub(super) fn of_gzip(file: File) -> Self {
        Self::Gzip(RefCell::new(Box::new(Gzip::new(file))))
    }

    /// Whether it is compressed, and so is whole: nobody compresses a log that is still written.
    pub(super) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    /// Whether reading it failed because of what it holds, which does not pass. Only a compressed file can be so.
    pub(super) fn is_damaged(&self, error: &io::Error) -> bool {
        self.is_gzip() && is_damage(error)
    }

    /// How long it is. `None` of a compressed one, which does not say.
    pub(super) fn size(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(file) => file.metadata().map(|metadata| Some(metadata.len())),
            Self::Gzip(_) => Ok(None),
        }
    }

    /// When it was last written. `None` of a compressed one, which is not written to.
    pub(super) fn last_write(&self) -> Option<Timestamp> {
        match self {
            Self::Plain(file) => Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok(),
            Self::Gzip(_) => None,
        }
    }

    /// Reads what stands at `offset`; less than there is room for only at the end, or before damage. Of a compressed file
    /// it is cheap only where the last read stopped, or after that: everything before a place has to be decompressed.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(test)]
        super::tests::meanwhile();
        match self {
            Self::Plain(file) => loop {
                match file.read_at(buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            },
            Self::Gzip(gzip) => gzip.borrow_mut().read_at(buffer, offset),
        }
    }
}

impl Gzip {
    fn new(file: File) -> Self {
        Self { decoder: Some(MultiGzDecoder::new(BufReader::new(file))), at: 0, damage: None }
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.at
            && let Some(decoder) = self.decoder.take()
        {
            let mut file = decoder.into_inner().into_inner();
            file.rewind()?;
            *self = Self::new(file);
        }
        if let Some(damage) = self.damage {
            return Err(damage.into());
        }
        self.read_on(buffer, offset)
            .inspect_err(|error| self.damage = is_damage(error).then_some(error.kind()))
    }

    fn read_on(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let decoder = self.decoder.as_mut().ok_or_else(|| io::Error::other("it could not be rewound"))?;
        self.at += io::copy(&mut decoder.take(offset - self.at), &mut io::sink())?;
        let mut read = 0;
        while self.at == offset + read as u64 && read < buffer.len() {
            match decoder.read(&mut buffer[read..]) {
                Ok(0) => break,
                // What came before is good; the next read fails.
                Err(error) if read > 0 => {
                    self.damage = is_damage(&error).then_some(error.kind());
                    break;
                }
                Err(error) => return Err(error),
                Ok(count) => read += count,
            }
            self.at = offset + read as u64;
        }
        Ok(read)
    }
}

/// Whether decompressing failed because of what there is to decompress.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8], keep: usize) -> Contents {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let compressed = encoder.finish().unwrap();
        file.write_all(&compressed[..compressed.len().min(keep)]).unwrap();
        file.rewind().unwrap();
        Contents::of_gzip(file)
    }

    #[test]
    fn a_compressed_file_is_read_at_the_places_of_its_text() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let contents = gzip(&text, usize::MAX);
        let mut buffer = [0; 1000];
        for offset in [0, 1000, 7, 399_500, 0, 399_999, 400_000, 400_001] {
            let expected = text.get(offset..).unwrap_or_default();
            let count = contents.read_at(&mut buffer, offset as u64).unwrap();
            assert_eq!(count, expected.len().min(1000), "{offset}");
            assert_eq!(buffer[..count], expected[..count], "{offset}");
        }
    }

    #[test]
    fn a_compressed_file_cut_short_is_damaged() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let contents = gzip(&text, 1000);
        let mut buffer = vec![0; text.len()];
        let count = contents.read_at(&mut buffer, 0).unwrap();
        assert_eq!(buffer[..count], text[..count]);
        for _ in 0..2 {
            let error = contents.read_at(&mut buffer, count as u64).unwrap_err();
            assert!(is_damage(&error), "{error:?}");
        }
        assert_eq!(contents.read_at(&mut buffer[..100], 0).unwrap(), 100);
    }
}
